"""boards: milliseconds follow from counts by the factors that tools.board_fit finds."""

import re

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost import boards
from tflm_quantmcu.cost.cycles import CYCLES_PER_INSTRUCTION
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.graph.target import BOARDS, core_named
from tools import board_fit

FITS = board_fit.fits()


def work(instructions: int, cycles: int, unknown: tuple[str, ...] = ()) -> Cost:
    return Cost(0, 0, 0, 0, instructions, cycles, unknown)


def test_the_factors_of_measured_boards_are_those_of_the_fit():
    measured = {name: board for name, board in boards.boards().items() if board.is_measured}
    assert measured.keys() == FITS.keys()
    for name, board in measured.items():
        found = FITS[name]
        if board.core in CYCLES_PER_INSTRUCTION:
            factors = [board.instruction_factor + board.cycle_factor * CYCLES_PER_INSTRUCTION[board.core]]
        else:
            factors = [board.instruction_factor, board.cycle_factor]
        assert factors == pytest.approx(found.factors, rel=0.002)
        assert board.relative_error == pytest.approx(found.rms, abs=0.005)


def test_networks_that_are_left_out_of_the_m4_board_are_estimated():
    found = FITS["nucleo-l4r5zi"]
    assert len(found.left_out) == 8
    assert found.rms <= 0.08 and np.abs(found.left_out).max() <= 0.14


def test_extrapolated_boards_state_larger_errors_than_measured_ones():
    errors = {True: [], False: []}
    for board in boards.boards().values():
        errors[board.is_measured].append(board.relative_error)
    assert max(errors[True]) < min(errors[False])


def test_milliseconds_are_board_cycles_over_the_clock():
    found = boards.milliseconds("cortex-m4", "nucleo-l4r5zi", work(31_950_000, 39_470_000))
    assert found == pytest.approx((0.8769 * 31.95e6 + 0.4711 * 39.47e6) / 120e3)


def test_a_core_has_a_default_board_or_none():
    for core, name in boards.DEFAULT_BOARDS.items():
        assert boards.board_of(core).name == boards.board_of(f"cortex-{core}").name == name
        assert boards.board_of(core).core == core
    assert boards.board_of("m3") is None and boards.milliseconds("m3", None, work(1, 2)) is None


def test_what_was_not_counted_has_no_time():
    assert boards.milliseconds("m4", None, work(0, 0)) is None
    assert boards.milliseconds("m4", None, work(1, 2, ("TILE 'y' (op 3)",))) is None


def test_what_no_table_knows_is_named_beside_the_rest():
    known, other = work(100_000, 120_000), work(100_000, 120_000, ("TILE 'y' (op 3)", "ROLL 'z' (op 4)"))
    text = boards.time_text("m4", None, [known, other])
    assert text.startswith("milliseconds: not known, for no table has TILE 'y' (op 3) and 1 more op")
    assert "1.2 -> 1.2 ms" in text
    assert "cortex-m3" in boards.time_text("m3", None, [known])


def test_times_are_told_with_their_error_and_where_they_come_from():
    works = [Cost(1, 1, 0, 0, instructions, round(1.4 * instructions)) for instructions in (12_000_000, 24_000_000)]
    assert re.fullmatch(
        r"16,800,000 -> 33,600,000 documented cycles, 154 ms -> 307 ms on nucleo-l4r5zi at 120 MHz, estimated, \+-8%",
        boards.time_text("m4", None, works),
    )
    assert boards.time_text("cortex-m55", None, works).endswith(", estimated, +-50%, extrapolated")
    no_board = boards.time_text("cortex-m3", None, works)
    assert no_board.startswith("16,800,000 -> 33,600,000 documented cycles; milliseconds: not known")


@pytest.mark.parametrize(
    ("board", "message"),
    [
        ("nucleo-x", "--board is nucleo-x; there are nucleo-l4r5zi, "),
        ("nucleo-h7a3zi", "--board nucleo-h7a3zi has a cortex-m7, and --core is cortex-m4"),
    ],
)
def test_boards_that_do_not_fit_the_core_are_refused(board, message):
    with pytest.raises(UsageError, match=message):
        boards.board_of("cortex-m4", board)


def test_the_boards_that_a_target_names_are_those_with_times():
    assert {name: core_named(board.core) for name, board in boards.boards().items()} == BOARDS
