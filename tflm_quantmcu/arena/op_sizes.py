"""What TFLM keeps on a 32-bit core for each op that it registers: data/op_sizes.csv, which tools/op_sizes.py writes."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
from collections.abc import Mapping
from importlib import resources

TABLE = "op_sizes.csv"
COLUMNS = "op", "reference", "cmsis_nn", "options", "alignment"


@dataclasses.dataclass(frozen=True)
class OpSizes:
    """Bytes of one op.

    Attributes:
      reference, cmsis_nn: of the kernel's own struct, which Init allocates: TFLM's reference kernel and CMSIS-NN's.
      options: of the parsed builtin options.
      alignment: of these.
    """

    reference: int
    cmsis_nn: int
    options: int
    alignment: int


@functools.cache
def op_sizes() -> Mapping[str, OpSizes]:
    """Kind, as TFLite calls it -> bytes."""
    text = (resources.files("tflm_quantmcu.arena") / "data" / TABLE).read_text()
    return {
        cells["op"]: OpSizes(*(int(cells[name]) for name in COLUMNS[1:])) for cells in csv.DictReader(io.StringIO(text))
    }


def to_csv(rows: Mapping[str, OpSizes]) -> str:
    """The rows as text with a header, in a fixed order."""
    lines = [",".join(map(str, (op, *dataclasses.astuple(sizes)))) for op, sizes in sorted(rows.items())]
    return "\n".join([",".join(COLUMNS), *lines]) + "\n"
