"""Tables of code sizes: closures as the linker keeps them, and every kernel on every core."""

from __future__ import annotations

import pytest

from tflm_quantmcu.arena.fast_ops import FAST_OPS
from tflm_quantmcu.cost.code_sizes import PATCH_STAGE_AOT, PATCH_STAGE_TFLM, code_bytes_of
from tflm_quantmcu.graph.op_kinds import OP_KINDS, op_kind
from tflm_quantmcu.graph.target import CORES
from tflm_quantmcu.native.linked import FAST_CONVOLUTIONS, kernel_name
from tools.code_table import Sections, table_of

# Two kernels that share a routine, which has a constant; what nobody reaches is left out.
LISTING = """
  [ 1] .text.A           PROGBITS        00000000 000034 00000a 00  AX  0   0  4
  [ 2] .text.B           PROGBITS        00000000 000044 000010 00  AX  0   0  2
  [ 3] .text._Shared     PROGBITS        00000000 000054 000006 00 AXG  0   0  2
  [ 4] .rodata.K         PROGBITS        00000000 000060 000008 00   A  0   0  4
  [ 5] .text.Unused      PROGBITS        00000000 000070 000100 00  AX  0   0  4
  [ 6] .ARM.exidx.A      ARM_EXIDX       00000000 000170 000008 00  AL  1   0  4

Relocation section '.rel.text.A' at offset 0x1 contains 1 entry:
00000004  0000030a R_ARM_THM_CALL         00000001   _Shared
Relocation section '.rel.text.B' at offset 0x1 contains 2 entries:
00000004  0000030a R_ARM_THM_CALL         00000001   _Shared
00000008  0000050a R_ARM_THM_CALL         00000000   memcpy
Relocation section '.rel.text._Shared' at offset 0x1 contains 1 entry:
00000004  00000402 R_ARM_ABS32            00000000   .rodata.K

     1: 00000001    10 FUNC    GLOBAL DEFAULT    1 A
     2: 00000001    16 FUNC    GLOBAL DEFAULT    2 B
     3: 00000001     6 FUNC    WEAK   DEFAULT    3 _Shared
     4: 00000000     0 SECTION LOCAL  DEFAULT    4 .rodata.K
     5: 00000000     0 NOTYPE  GLOBAL DEFAULT  UND memcpy
"""


def test_what_two_units_share_is_counted_once() -> None:
    sections = Sections()
    sections.add_object("one.o", LISTING.splitlines())
    sections.add_object("two.o", LISTING.splitlines())  # the linker keeps the first of what is weak
    rows = table_of(sections, {"a": ["A"], "b": ["B"]})
    assert rows == {frozenset("a"): 12, frozenset("b"): 16, frozenset("ab"): 6 + 8}


@pytest.mark.parametrize("core", CORES)
def test_a_table_has_every_kernel_and_glue(core: str) -> None:
    kernels = [kernel_name(kind.kernel) for kind in OP_KINDS.values() if kind.kernel]
    glue = [f"Register_QMCU_{name}" for name, kind in OP_KINDS.items() if kind.kernel]
    fast = [f"Fast{op_kind(kind).kernel}" for kind in FAST_OPS]
    fast += [f"Fast{op_kind(kind).kernel}Op" for kind in FAST_CONVOLUTIONS]
    for unit in (*kernels, *glue, *fast, "reference::Softmax", PATCH_STAGE_AOT, PATCH_STAGE_TFLM):
        assert code_bytes_of(core, [unit]), f"run `python -m tools.code_table`: {core} lacks {unit}"
    assert code_bytes_of(core, ["reference::NoSuchKernel"]) is None
