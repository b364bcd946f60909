"""The command line: `tflm_quantmcu COMMAND MODEL --flag value ...`; `commands.COMMANDS` lists what there is.

Every flag of plan and convert is a field of `search.options.Options`. A refusal is one sentence on standard error and
its documented exit code.
"""

from __future__ import annotations

from tflm_quantmcu.cli.main import main, run

__all__ = ["main", "run"]
