"""The least arena that is predicted for a core is the least one in which the real TFLM prepares the model in QEMU.

An inference then steps on nothing behind it: a guard stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tflm_quantmcu as qm
from tests.support import networks, shared_data
from tests.support.cortex_m import skip_without_tools
from tests.support.fast_op_models import odd_shapes
from tests.support.plans import mixed, split
from tests.support.property_settings import examples
from tests.support.random_cnn import RandomCnn, random_cnns, random_stages, stage_regions
from tests.support.stock_op_models import STOCK_OP_MODELS
from tests.support.streamed import streamed
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.tflite.reader import read_model
from tools.tflm_build import cmsis_nn_folder, tflm_folders
from tools.tflm_on_core import CoreImage, build_image

CORES = ("cortex-m4", "cortex-m55")
SMALL = networks.inverted_residual()
MISC4 = shared_data.ROOT / "../cases/models/misc4.tflite"
# Of all models below.
KINDS = (
    *("ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "FULLY_CONNECTED", "HARD_SWISH"),
    *("LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "PADV2", "QUANTIZE", "RELU", "RELU6", "RESHAPE"),
    *("SOFTMAX", "TANH", "TRANSPOSE", *STOCK_OP_MODELS),
    *("CONCATENATION", "GATHER", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "STRIDED_SLICE"),
)


@pytest.fixture(scope="module", params=CORES)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreImage]:
    skip_without_tools()
    if tflm_folders() is None:
        pytest.skip("TFLM_DIR is not set: the least arena is not tried on Cortex-M")
    yield build_image(request.param, KINDS, Path(tmp_path_factory.mktemp("tflm")))


@pytest.fixture(scope="module", params=CORES)
def cmsis_nn_image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreImage]:
    skip_without_tools()
    cmsis_nn = cmsis_nn_folder()
    if tflm_folders() is None or cmsis_nn is None:
        pytest.skip("TFLM_DIR or CMSIS_NN_DIR is not set: the least arena with CMSIS-NN is not tried on Cortex-M")
    yield build_image(request.param, KINDS, Path(tmp_path_factory.mktemp("cmsis_nn")), cmsis_nn=cmsis_nn)


def in_patches(model: bytes) -> bytes:
    return convert_model(model, split(read_model(model)))


def misc4() -> bytes:
    if not MISC4.exists():
        pytest.skip(f"{MISC4} is absent; {shared_data.REMEDY}")
    return MISC4.read_bytes()


MODELS: dict[str, Callable[[], bytes]] = {
    **{name: lambda name=name: shared_data.model(name) for name in ("ad01_int8", "hello_world_int8")},
    **{name: lambda name=name: shared_data.model(name) for name in shared_data.CONVOLUTIONAL},
    **{
        f"{name} in patches": lambda name=name: in_patches(shared_data.model(name))
        for name in shared_data.CONVOLUTIONAL
    },
    "misc4": misc4,
    "odd shapes on our kernels": odd_shapes,
    **STOCK_OP_MODELS,
    "inverted residual": lambda: SMALL,
    "inverted residual in patches": lambda: in_patches(SMALL),
    "inverted residual with a streamed input": lambda: convert_model(SMALL, streamed(split(read_model(SMALL)))),
    **{
        f"mixed widths {seed}": lambda seed=seed: convert_model(SMALL, mixed(read_model(SMALL), seed))
        for seed in range(3)
    },
}


def assert_least(image: CoreImage, model: bytes) -> None:
    """Asserts it with all kernels of stock ops of the image; an inference steps on nothing behind the arena."""
    (variant,) = Target.of(image.core).variants
    for stock_kernels in image.stock_kernels:
        found = replay_allocation(read_model(model), CORTEX_M, variant, stock_kernels)
        assert found.is_exact
        prepares = image.prepares(model, found.needed_bytes, stock_kernels=stock_kernels, is_run=True)
        assert prepares == (True, False), stock_kernels


@pytest.mark.parametrize("name", MODELS)
def test_the_predicted_arena_is_the_least(image: CoreImage, name: str) -> None:
    assert_least(image, MODELS[name]())


@pytest.mark.parametrize("name", MODELS)
def test_the_predicted_arena_is_the_least_with_cmsis_nn(cmsis_nn_image: CoreImage, name: str) -> None:
    assert_least(cmsis_nn_image, MODELS[name]())


@pytest.mark.parametrize("divisor", (None, 2, 4))
@pytest.mark.parametrize("name", ("ad01_int8", "kws_dscnn_int8", "ic_resnet8_int8", "person_detect", "small"))
def test_the_arena_of_a_report_is_the_least(image: CoreImage, name: str, divisor: int | None) -> None:
    """The model is run as it came and as converted, without a bound and at parts of what it reserves as it came."""
    model = SMALL if name == "small" else shared_data.model(name)
    for stock_kernels in image.stock_kernels:
        target = Target.of(image.core, stock_kernels=stock_kernels)
        unsplit = arena_bytes_on(read_model(model), target).reserved_bytes
        assert image.prepares(model, unsplit, stock_kernels=stock_kernels) == (True, False)
        options = {"core": image.core, "stock_kernels": stock_kernels, "search": "uniform", "progress": False}
        try:
            converted = qm.convert(model, sram_bytes=divisor and unsplit // divisor, **options)
        except BudgetError:
            continue  # out of reach at 8 bits
        arena_bytes = converted.report.as_dict()["after"]["arena_bytes"]
        assert arena_bytes <= unsplit // (divisor or 1)
        assert image.prepares(converted.model, arena_bytes, stock_kernels=stock_kernels) == (True, False)


@examples(20)
@given(cnn=random_cnns())
def test_networks_that_nobody_chose_with_cmsis_nn(cmsis_nn_image: CoreImage, cnn: RandomCnn) -> None:
    assert_least(cmsis_nn_image, cnn.model)


@examples(20)
@given(data=st.data())
def test_networks_that_nobody_chose(image: CoreImage, data: st.DataObject) -> None:
    """They run as they are, and in patches at widths from 8 to 2 bits."""
    model = data.draw(random_cnns()).model
    graph = read_model(model)
    assert_least(image, model)
    if stage_regions(graph):
        stage = data.draw(random_stages(graph, bits=(8, 4, 2)))
        assert_least(image, convert_model(model, PrecisionPlan(graph.sha256, {}, stages=(stage,))))
