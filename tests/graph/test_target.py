"""One spelling of every core, and what a target is made of."""

from __future__ import annotations

import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.target import (
    BOARDS,
    CORES,
    DSP,
    KERNEL_VARIANTS,
    MVE,
    PLAIN,
    VARIANTS,
    Target,
    core_named,
    cores_of,
    short_core,
)
from tools.qemu_run import cores


def test_the_cores_are_those_that_code_is_built_for() -> None:
    assert [short_core(core) for core in CORES] == list(cores())


@pytest.mark.parametrize("name", ("m4", "M4", "cortex-m4", "Cortex-M4"))
def test_a_core_has_one_spelling(name: str) -> None:
    assert core_named(name) == Target.of(name).core == "cortex-m4"


@pytest.mark.parametrize("name", ("m0+", "cortex-m0+", "m0plus"))
def test_the_plus_of_m0_is_a_word(name: str) -> None:
    assert core_named(name) == "cortex-m0plus"


def test_every_variant_has_its_cores() -> None:
    assert {core: variant for variant in KERNEL_VARIANTS for core in cores_of(variant)} == VARIANTS
    assert [Target.of(core).variants for core in ("m3", "m33", "m55")] == [(PLAIN,), (DSP,), (MVE,)]
    assert Target.of("any").variants == KERNEL_VARIANTS


def test_a_board_brings_its_core() -> None:
    assert {board: Target.of(board=board.upper()).core for board in BOARDS} == BOARDS
    assert Target.of("m7", "nucleo-h7a3zi").core == "cortex-m7"


@pytest.mark.parametrize(
    ("names", "sentence"),
    (
        ({"core": "m5"}, "--core is m5; supported are cortex-m0plus, .*host, any"),
        ({"board": "uno"}, "--board is uno; supported are nucleo-l4r5zi"),
        ({"core": "m7", "board": "nucleo-l4r5zi"}, "--board nucleo-l4r5zi has a cortex-m4, and --core is cortex-m7"),
        ({"runtime": "tvm"}, "--runtime is tvm; supported are tflm, aot"),
        ({"stock_kernels": "cmsis_nn", "core": "host"}, "--stock_kernels is cmsis_nn, which runs on a Cortex-M"),
        ({"stock_kernels": "cmsis_nn", "runtime": "aot"}, "--stock_kernels is cmsis_nn, a choice of --runtime tflm"),
        ({"stock_kernels": "reference", "runtime": "aot"}, "emitted code runs all ops on our kernels"),
        ({"stock_kernels": "xnnpack"}, "--stock_kernels is xnnpack; supported are quantmcu, reference, cmsis_nn"),
    ),
)
def test_what_is_not_known_is_refused(names: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Target.of(**names)


def test_cycles_of_any_core_are_those_of_the_m4() -> None:
    assert [Target.of(core).timed_core for core in ("any", "host", "m55")] == ["m4", "m4", "m55"]
