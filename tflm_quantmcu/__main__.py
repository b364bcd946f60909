"""`python -m tflm_quantmcu`."""

from __future__ import annotations

from tflm_quantmcu.cli.main import main

main()
