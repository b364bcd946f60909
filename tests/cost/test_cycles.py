"""cycles: documented timings of listings, and what blocks of code that ran add up to."""

import pytest

from tflm_quantmcu.base.errors import QuantMcuError
from tflm_quantmcu.cost.cycles import CYCLES_PER_INSTRUCTION, Listing, Work, measured_spans

# The innermost loop of a convolution: 32 products of 8 bits.
LOOP = """
00000100 <loop>:
     100:\tldr.w\tr5, [r0], #4
     104:\tsxtb16\tr9, r5
     108:\tldrd\tr8, sl, [r3], #8
     10c:\tldr.w\tr7, [r1], #4
     110:\tsmlad\tlr, r9, r8, lr
     114:\tcmp\tr4, r3
     116:\tbne.n\t100 <loop>
     118:\tbx\tlr
"""
EMPTY = "SPAN\n118,1,1,1\n"


def work(listing: str, blocks: str, core: str = "m4") -> Work:
    (found,) = measured_spans("SPAN\n" + blocks + EMPTY, Listing(listing), core)
    return found


def cycles_of(*lines: str, core: str = "m4") -> int:
    text = "".join(f"     {200 + 4 * i:x}:\t{line}\n" for i, line in enumerate(lines))
    return work(text + LOOP, f"{200:x},{len(lines)},1,0\n118,1,1,1\n", core).cycles


def test_a_loop_counts_its_loads_and_its_branches_that_are_taken():
    found = work(LOOP, "100,7,10,9\n118,1,1,1\n")
    assert found == Work(70, loads=30, stores=0, taken_branches=9, cycles=10 * 11 + 9 * 2)


def test_a_block_that_ends_without_a_branch_goes_on_in_the_next():
    pair = "     200:\tldr\tr0, [r1]\n     204:\tldr\tr2, [r1, #4]\n" + LOOP
    whole, parted = (work(pair, f"{blocks}118,1,1,1\n") for blocks in ("200,2,7,7\n", "200,1,7,7\n204,1,7,0\n"))
    assert whole == parted
    assert work(pair, "200,1,7,7\n204,1,7,7\n118,1,1,1\n").cycles == whole.cycles + 7 * (1 + 2)


@pytest.mark.parametrize(
    ("lines", "m4", "m0plus"),
    [
        (["ldr\tr0, [r1, #4]"], 2, 2),
        (["ldr\tr0, [r1]", "ldr\tr2, [r1, #4]"], 3, 4),
        (["ldr\tr1, [r1]", "ldr\tr2, [r1, #4]"], 4, 4),
        (["ldrb\tr0, [r1]", "str\tr0, [r2, r3]"], 3, 4),
        (["str\tr0, [r2, #8]"], 1, 2),
        (["str\tr0, [r2, r3]", "str\tr0, [r2, r3]"], 4, 4),
        (["ldrd\tr0, r1, [r2]", "ldr\tr3, [r2]"], 5, None),
        (["push\t{r4-r6, lr}"], 5, 5),
        (["stmdb\tsp!, {r4, r5, sl, lr}"], 5, None),
        (["muls\tr0, r1"], 1, 1),
        (["umull\tr0, r1, r2, r3"], 1, None),
        (["ldrne\tr0, [r1]"], 2, None),
    ],
)
def test_documented_timings(lines, m4, m0plus):
    assert cycles_of(*lines) == m4
    assert m0plus is None or cycles_of(*lines, core="m0plus") == m0plus


def test_calls_take_longer_on_the_m0plus():
    # The reference manual has BL 3 and POP of the PC 3 + N; the BX of one cycle is not taken.
    text = "     200:\tbl\t118 <x>\n     204:\tpop\t{r4, pc}\n" + LOOP
    assert work(text, "200,1,1,0\n118,1,2,2\n", core="m0plus").cycles == 3 + 1
    assert work(text, "204,1,1,0\n118,1,2,2\n", core="m0plus").cycles == 3 + 2 + 1
    assert work(text, "200,1,1,0\n118,1,2,2\n").cycles == 1 + 2 + 1


@pytest.mark.parametrize("core", CYCLES_PER_INSTRUCTION)
def test_cores_without_documented_timings_take_cycles_for_instructions(core):
    found = work(LOOP, "100,7,100,99\n118,1,1,1\n", core)
    assert found.cycles == round(700 * CYCLES_PER_INSTRUCTION[core])
    assert (found.loads, found.taken_branches) == (300, 99)


def test_code_that_is_not_listed_is_refused():
    with pytest.raises(QuantMcuError, match="the listing has no instruction at 0x5000"):
        work(LOOP, "5000,1,1,1\n")
