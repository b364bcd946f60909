"""`python -m tflm_quantmcu.cli`."""

from __future__ import annotations

from tflm_quantmcu.cli.main import main

main()
