"""Stock ops that keep a state: TFLM = numpy law = C++ in emitted code, one inference behind the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.emitted import emit_and_compile
from tests.support.tiny_models import Handle
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.law.recurrent import lstm_step, svdf
from tflm_quantmcu.lowering.stock_ops import stock_calls
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

SEED = 7
NUM_STEPS = 6
DTYPES = ("int8", "int16")


def weights(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "int8") -> np.ndarray:
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def svdf_model(rng: np.random.Generator, case: int) -> bytes:
    batches, depth, units, rank, memory = (int(rng.integers(1, n)) for n in (4, 12, 7, 4, 9))
    dtype, filters, net = DTYPES[case % 2], units * rank, StockModel()
    x = net.input((batches, depth), scale=0.03, zero_point=int(rng.integers(-128, 128)))
    state_scale = float(rng.uniform(0.005, 0.1)) if dtype == "int8" else float(rng.uniform(1e-4, 1e-2))
    feature = net.constant(weights(rng, (filters, depth)), scale=0.02)
    time_scale = 0.01 if dtype == "int8" else 1e-4
    time = net.constant(weights(rng, (filters, memory), dtype), scale=time_scale)
    bias = net.constant(rng.integers(-(1 << 14), 1 << 14, units).astype(np.int32), scale=state_scale * time_scale)
    zero_point = int(rng.integers(-128, 128)) if dtype == "int8" and case % 4 else 0
    state = net.state((batches, filters * memory), scale=state_scale, zero_point=zero_point, dtype=dtype)
    options = schema.SVDFOptionsT(rank=rank, fusedActivationFunction=schema.ActivationFunctionType.RELU)
    inputs = [x, feature, time, bias, state]
    y = net.stock("SVDF", inputs, options, (batches, units), scale=0.02 * memory, zero_point=case * 9 - 100)
    return net.build(y)


def lstm_model(rng: np.random.Generator, case: int) -> bytes:
    batches, steps, depth, units = (int(rng.integers(1, n)) for n in (4, 6, 9, 9))
    net, is_time_major = StockModel(), case % 3 == 1
    shape = (steps, batches) if is_time_major else (batches, steps)
    x = net.input((*shape, depth), scale=0.03, zero_point=int(rng.integers(-128, 128)))

    def gate_weights(width: int) -> list[Handle]:
        scales = rng.uniform(1e-4, 0.05, 4)
        return [net.constant(weights(rng, (units, width)), scale=float(s)) for s in scales]

    of_input, of_hidden = gate_weights(depth), gate_weights(units)
    biases = [net.constant(rng.integers(-5000, 5000, units).astype(np.int32), scale=1e-4) for _ in range(4)]
    hidden = net.state((batches, units), scale=1 / 128, zero_point=int(rng.integers(-20, 20)))
    cell = net.state((batches, units), scale=2.0 ** -int(rng.integers(9, 16)), dtype="int16")
    options = schema.UnidirectionalSequenceLSTMOptionsT(
        fusedActivationFunction=schema.ActivationFunctionType.TANH,
        timeMajor=is_time_major,
        cellClip=(0.0, 1.5, 100.0)[case % 3],
    )
    none = Handle(-1, (), 0.0, 0)
    inputs = [x, *of_input, *of_hidden, *[none] * 3, *biases, none, none, hidden, cell, *[none] * 4]
    formats: dict[str, Any] = {"scale": hidden.scale, "zero_point": hidden.zero_point}
    return net.build(net.stock("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, options, (*shape, units), **formats))


def svdf_law(model: bytes, samples: list[np.ndarray]) -> list[np.ndarray]:
    graph = read_model(model)
    (call,) = stock_calls(graph, graph.ops[0])
    params, state_tensor = call.params, graph.tensors[call.inputs[1]]
    feature, time, bias = call.constants.values()
    arrays = (
        feature.view(np.int8).reshape(params.filters, -1),
        time.view(state_tensor.dtype).reshape(params.filters, -1),
        bias,
    )
    shape = params.batches, params.filters, params.memory
    state, outputs = np.full(shape, params.state_zero_point, state_tensor.dtype), []
    for x in samples:
        y, state = svdf(params, x, state, arrays)
        outputs.append(y)
    return outputs


def lstm_law(model: bytes, samples: list[np.ndarray]) -> list[np.ndarray]:
    graph = read_model(model)
    op = graph.ops[0]
    (call,) = stock_calls(graph, op)
    params, axis = call.params, 0 if op.options.get("timeMajor") else 1
    packed = call.constants["Weights"].view(np.int8).reshape(params.units, 4, -1)
    state = (
        np.full((params.batches, params.units), params.hidden_zero_point, np.int8),
        np.zeros((params.batches, params.units), np.int16),
    )
    outputs = []
    for x in samples:
        steps = []
        for now in np.moveaxis(x, axis, 0):
            state = lstm_step(params, now, state, (packed, call.constants["Biases"]))
            steps.append(state[0])
        outputs.append(np.stack(steps, axis=axis))
    return outputs


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize(("build", "law"), [(svdf_model, svdf_law), (lstm_model, lstm_law)], ids=["svdf", "lstm"])
def test_inferences_in_turn_equal_tflm(
    build: Callable[[np.random.Generator, int], bytes],
    law: Callable[[bytes, list[np.ndarray]], list[np.ndarray]],
    case: int,
    tmp_path: Path,
) -> None:
    """Twice: Reset begins anew."""
    rng = np.random.default_rng(SEED + case)
    model = build(rng, case)
    tflm, emitted = Interpreter(model), emit_and_compile(model, tmp_path)
    samples = [weights(rng, tflm.inputs[0].shape) for _ in range(NUM_STEPS)]
    expected = [np.array(tflm.invoke(x)[0]) for x in samples]
    assert len({y.tobytes() for y in expected}) > 1
    for name, actual in (
        ("law", law(model, samples)),
        ("Invoke", [y for (y,) in emitted.invoke_in_turn(samples)]),
        ("Step", [y for (y,) in emitted.invoke_in_turn(samples, by_step=True)]),
    ):
        np.testing.assert_array_equal(np.stack(actual), np.stack(expected), name)


def test_a_state_stands_behind_all_else(tmp_path: Path) -> None:
    emitted = emit_and_compile(svdf_model(np.random.default_rng(SEED), 1), tmp_path)
    graph = read_model(svdf_model(np.random.default_rng(SEED), 1))
    (state,) = [t for t in graph.tensors if t.is_variable]
    assert state.num_bytes <= emitted.macro("STATE_BYTES") < state.num_bytes + 16


def test_what_tflm_computes_otherwise_is_refused(tmp_path: Path) -> None:
    net = StockModel()
    x = net.input((1, 4))
    constants = [net.constant(np.ones((2, n), np.int8), scale=0.1) for n in (4, 3)]
    bias = net.constant(np.zeros(2, np.int32), scale=0.01)
    state = net.state((1, 6), scale=0.1, dtype="int16")
    model = net.build(net.stock("SVDF", [x, *constants, bias, state], schema.SVDFOptionsT(rank=1), (1, 2), scale=0.1))
    with pytest.raises(UnsupportedModelError, match="its weights of time are int8, its state int16"):
        emit(model, output_dir=tmp_path)
