"""Cycles of measured code by the timings that Arm documents, from how often each block of it ran.

In: what tools/qemu_blocks.c writes, and `arm-none-eabi-objdump -d` of the image. Out: the Work of each span.

Timings are those of the technical reference manuals, without wait states of memory:

- Cortex-M4 (DDI 0439, "Processor instructions") and Cortex-M3 (DDI 0337): 1 cycle, but LDR 2, or 1 directly behind an
  LDR whose result is not its address, as neighbouring loads pipeline; STR 1, as the write buffer takes it, or 2 where
  its offset is a register; LDRD and STRD 3; LDM, STM, PUSH and POP 1 + N; a taken branch 2 more, of the documented 1 to
  3 that refilling the pipeline takes; divisions 7, of 2 to 12. MLA takes 2; on the M3 multiplications with 64-bit
  results take 5, or 7 where they add, the most of what is documented, as multipliers of 31 bits do.
- Cortex-M0+ (DDI 0484, with the multiplier of one cycle): LDR and STR 2; LDM, STM, PUSH and POP 1 + N; a taken branch 1
  more, BL and POP of the PC 2 more.
- Cortex-M7, M33 and M55 have no documented timings: cycles are instructions times CYCLES_PER_INSTRUCTION.

Where QEMU ends a block without a branch, at the end of a page, the next one follows as if there were no end.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections.abc import Callable, Iterable, Sequence

from tflm_quantmcu.base.errors import QuantMcuError

# M33: fit of four networks on an nRF5340 (1.15 to 1.34). M7: one network on an STM32H743. M55: assumed, as most MVE
# instructions take two cycles and a half of them overlap. Facts: data/board_measurements.csv.
CYCLES_PER_INSTRUCTION = {"m7": 0.71, "m33": 1.23, "m55": 1.5}

# What objdump does not know (CSNEG of Armv8.1-M) has its line too, with "@" in place of a mnemonic.
_LINE = re.compile(r"^\s*([0-9a-f]+):[ \t]+(\S+)(?:\t([^@;\n]*))?", re.MULTILINE)
_LIST = re.compile(r"\{(.*)\}")
_CONDITION = "(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
_LOAD = re.compile(rf"(v?ldr|vld[24]|tb[bh]|ldrex)(b|h|sb|sh|d|w)?{_CONDITION}$")
_STORE = re.compile(rf"(v?str|vst[24]|strex)(b|h|d|w)?{_CONDITION}$")
_LOAD_MULTIPLE = re.compile(r"(v?ldm|v?pop)")
_STORE_MULTIPLE = re.compile(r"(v?stm|v?push)")
_ACCUMULATE = re.compile(rf"(mla|mls){_CONDITION}$")
_LONG = re.compile(rf"([us]mull){_CONDITION}$")
_LONG_ACCUMULATE = re.compile(rf"([us]mlal){_CONDITION}$")
_DIVIDE = re.compile(rf"([us]div){_CONDITION}$")


@dataclasses.dataclass(frozen=True)
class Work:
    """What a piece of code does; `cycles` as documented, loads and stores in instructions."""

    instructions: int = 0
    loads: int = 0
    stores: int = 0
    taken_branches: int = 0
    cycles: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(*map(operator.add, dataclasses.astuple(self), dataclasses.astuple(other)))

    def __mul__(self, times: int) -> Work:
        return Work(*(n * times for n in dataclasses.astuple(self)))


@dataclasses.dataclass(frozen=True)
class Timings:
    """Documented cycles of a core, beyond the one that every instruction takes.

    Attributes:
      load, store, store_at_register: of one word; `store_at_register` where the offset is a register.
      taken: of a branch that is taken.
      call: of BL and of POP of the PC, beside `taken`.
      pipelines_loads: whether a load directly behind another takes one cycle.
      accumulate, long, long_accumulate, divide: of MLA, UMULL, UMLAL, UDIV and their like.
    """

    load: int = 1
    store: int = 0
    store_at_register: int = 1
    taken: int = 2
    call: int = 0
    pipelines_loads: bool = True
    accumulate: int = 0
    long: int = 0
    long_accumulate: int = 0
    divide: int = 6


TIMINGS = {
    "m0plus": Timings(store=1, taken=1, call=1, pipelines_loads=False),
    "m3": Timings(accumulate=1, long=4, long_accumulate=6),
    "m4": Timings(accumulate=1),
}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """A line of a listing: mnemonic without the width of its encoding, and operands as text."""

    mnemonic: str
    operands: str


class Listing:
    """The instructions of an image in order of their addresses."""

    def __init__(self, text: str):
        """Reads the text of `arm-none-eabi-objdump -d --no-show-raw-insn`."""
        lines = _LINE.findall(text)
        self._index = {int(address, 16): i for i, (address, _, _) in enumerate(lines)}
        self._instructions = [Instruction(name.split(".")[0], operands.strip()) for _, name, operands in lines]

    def block(self, address: int, count: int) -> Sequence[Instruction]:
        """`count` instructions from an address on.

        Raises:
          QuantMcuError: there is no code.
        """
        if address not in self._index:
            raise QuantMcuError(f"the listing has no instruction at {address:#x}")
        first = self._index[address]
        return self._instructions[first : first + count]

    def before(self, address: int) -> Sequence[Instruction]:
        """The instruction in front of one, if there is any."""
        first = self._index[address]
        return self._instructions[max(first - 1, 0) : first]


def measured_spans(blocks: str, listing: Listing, core: str) -> list[Work]:
    """What each measurement did: its span without that of the empty function, which follows it.

    Args:
      blocks: what the plugin wrote.
      listing: of the image.
      core: m0plus, m3, m4, m7, m33 or m55.
    """
    block_work = functools.cache(lambda address, count: _block_work(listing.block(address, count), core))
    paired = functools.cache(lambda address: _is_paired([*listing.before(address), *listing.block(address, 1)], core))
    spans = [_span_work(part.split(), block_work, paired, core) for part in blocks.split("SPAN\n")[1:]]
    found = [work + empty * -1 for work, empty in zip(spans[::2], spans[1::2], strict=True)]
    factor = CYCLES_PER_INSTRUCTION.get(core)
    return [dataclasses.replace(w, cycles=round(w.instructions * factor)) for w in found] if factor else found


def _span_work(
    lines: Iterable[str], block_work: Callable[[int, int], Work], paired: Callable[[int], bool], core: str
) -> Work:
    taken_cycles = TIMINGS[core].taken if core in TIMINGS else 0
    total = Work()
    for line in lines:
        address, *counts = line.split(",")
        count, executions, jumps = map(int, counts)
        total += block_work(int(address, 16), count) * executions
        follows = (executions - jumps) * paired(int(address, 16))
        total += Work(taken_branches=jumps, cycles=jumps * taken_cycles - follows)
    return total


def _is_paired(instructions: Sequence[Instruction], core: str) -> bool:
    """Whether the second takes a cycle less behind the first than by itself."""
    return _block_work(instructions, core).cycles < sum(_block_work([one], core).cycles for one in instructions)


def _block_work(instructions: Sequence[Instruction], core: str) -> Work:
    """The work of instructions one after another, without the branches that they may take."""
    timings = TIMINGS.get(core, Timings())
    loads = stores = 0
    cycles = len(instructions)
    loaded: str | None = None  # register that the instruction before has loaded, if it was a load of one
    for instruction in instructions:
        is_load, is_store, extra = _memory(instruction, timings)
        loads += is_load
        stores += is_store
        target, _, address = instruction.operands.partition("[")
        is_single = extra == 1 and bool(address)
        if timings.pipelines_loads and loaded and is_single:
            extra -= not re.search(rf"\b{loaded}\b", address)
        cycles += extra + _arithmetic(instruction, timings)
        loaded = target.split(",")[0].strip() if is_load and is_single else None
    return Work(len(instructions), loads, stores, 0, cycles)


def _memory(instruction: Instruction, timings: Timings) -> tuple[bool, bool, int]:
    """(whether it loads, whether it stores, cycles beyond one)."""
    name, operands = instruction.mnemonic, instruction.operands
    if _LOAD_MULTIPLE.match(name) or _STORE_MULTIPLE.match(name):
        is_load = bool(_LOAD_MULTIPLE.match(name))
        return is_load, not is_load, _num_registers(operands) + (timings.call if is_load and "pc" in operands else 0)
    is_double = name.startswith(("ldrd", "strd")) or bool(re.match(r"v(ldr|str)\w* d", f"{name} {operands}"))
    if _LOAD.match(name):
        return True, False, 2 if is_double else timings.load
    if _STORE.match(name):
        is_indexed = bool(re.search(r"\[\w+, [a-z]", operands))
        single = timings.store_at_register if is_indexed else timings.store
        return False, True, 2 if is_double else single
    return False, False, 0


def _arithmetic(instruction: Instruction, timings: Timings) -> int:
    """Cycles beyond one of what is not memory's."""
    name = instruction.mnemonic
    if name in ("bl", "blx"):
        return timings.call if name == "bl" else 0
    kinds = (
        (_ACCUMULATE, timings.accumulate),
        (_LONG, timings.long),
        (_LONG_ACCUMULATE, timings.long_accumulate),
        (_DIVIDE, timings.divide),
    )
    return next((extra for pattern, extra in kinds if pattern.match(name)), 0)


def _num_registers(operands: str) -> int:
    """Registers of a list: 5 of "{r4-r6, sl, pc}"."""
    found = _LIST.search(operands)
    parts = found[1].split(",") if found else []
    return sum(_range_length(part.strip()) for part in parts)


_NAMES = {"sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}


def _range_length(part: str) -> int:
    first, _, last = part.partition("-")
    return _number(last) - _number(first) + 1 if last else 1


def _number(register: str) -> int:
    return _NAMES[register] if register in _NAMES else int(register[1:])
