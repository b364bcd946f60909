"""Start-up, faults and the instruction counter of every board."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.cortex_m import CORES, image, run_on_core
from tflm_quantmcu.cost.cycles import Listing, measured_spans
from tools.qemu_run import run_image

FAULT = 70  # kBoardFaultExitCode
EXIT_CODE = 42  # of startup.cc


@pytest.mark.parametrize("core", CORES)
def test_main_finds_what_it_may_rely_on(core):
    run = run_on_core(core, "startup")
    assert run.results == dict.fromkeys(("DATA", "BSS", "CONSTRUCTOR", "FLOAT", "ARENA"), "1")
    assert run.exit_code == EXIT_CODE


@pytest.mark.parametrize("core", CORES)
def test_loops_of_known_length_are_counted_exactly_whatever_else_the_machine_does(core):
    path = image(core, "calibration")
    idle = run_image(path, core=core)
    assert idle.exit_code == 0, idle.output
    busy_loop = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(busy_loop) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        loaded = run_image(path, core=core)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert int(idle.results["INSTRUCTIONS"]) > 0
    assert loaded == idle


@pytest.mark.parametrize("core", CORES)
def test_blocks_of_code_add_up_to_the_instructions_that_are_counted(core, tmp_path):
    path, blocks = image(core, "calibration"), tmp_path / "blocks"
    assert run_image(path, core=core, blocks=blocks).exit_code == 0
    text = subprocess.run(["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True)
    found = measured_spans(blocks.read_text(), Listing(text.stdout), core)
    turns = [*range(1, 101), *(10**n for n in range(3, 9))]
    assert [work.instructions for work in found] == [2 * n + 1 for n in turns]
    assert [work.taken_branches for work in found] == [n - 1 for n in turns]
    assert not any(work.loads + work.stores for work in found)


def test_unaligned_access_traps_on_the_m0plus():
    run = run_on_core("m0plus", "unaligned")
    assert run.exit_code == FAULT
    assert "FAULT: unaligned access" in run.output
    assert "WORD" not in run.results


@pytest.mark.parametrize("core", [core for core in CORES if core != "m0plus"])
def test_unaligned_access_works_elsewhere(core):
    run = run_on_core(core, "unaligned")
    assert run.exit_code == 0
    assert run.results == {"WORD": "0x05040302"}


@pytest.mark.parametrize("side", ["before", "behind"])
@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("core", CORES)
def test_a_touch_next_to_guarded_memory_is_noticed(core, access, side):
    run = run_on_core(core, f"guard_{access}_{side}")
    assert run.exit_code == FAULT
    assert "FAULT: data access violation" in run.output
    assert run.results["FAULT_ADDRESS"] == run.results["TOUCHED"]
    assert "READ=1" in run.output, "memory between the guards is not free"


@pytest.mark.parametrize("core", CORES)
def test_stack_overflow_is_named(core):
    run = run_on_core(core, "stack_overflow")
    assert run.exit_code == FAULT
    assert "FAULT: stack overflow" in run.output
