"""What the judging networks' tables say of a plan, on a network of random features."""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import pytest

from experiments.judging import bit_ops
from experiments.judging.bit_ops import Trader
from experiments.judging.judged import JudgedNetwork
from experiments.judging.validity import KINDS, JudgedPlan, judged_plans, summary
from experiments.npz import save_npz
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.runtime.interpreter import Interpreter


def _model() -> bytes:
    net, rng = TinyModel(), np.random.default_rng(0)
    x = net.input((1, 8, 8, 3))
    for inputs, outputs in ((3, 12), (12, 8)):
        weights = rng.integers(-127, 128, (outputs, 3, 3, inputs), dtype=np.int8)
        x = net.conv2d(x, weights, activation="RELU", zero_point=-128, scale=0.1, filter_scales=[0.004] * outputs)
    weights = rng.integers(-127, 128, (10, 512), dtype=np.int8)
    return net.build(net.fully_connected(net.reshape(x, (1, 512)), weights, filter_scales=[0.0005], scale=0.05))


MODEL = _model()
X = np.random.default_rng(1).integers(-128, 128, (260, 8, 8, 3), dtype=np.int8)


@pytest.fixture(scope="module", name="network")
def _network(tmp_path_factory: pytest.TempPathFactory) -> JudgedNetwork:
    folder: pathlib.Path = tmp_path_factory.mktemp("network")
    (folder / "int8.tflite").write_bytes(MODEL)
    labels = Interpreter(MODEL).run(X).reshape(len(X), -1).argmax(axis=1)
    labels[::4] = (labels[::4] + 1) % 10
    save_npz(folder / "calibration.npz", x=X[:160])
    save_npz(folder / "judge.npz", x=X[160:], y=labels[160:])
    return JudgedNetwork(folder)


def test_the_loss_is_what_tflm_shows(network: JudgedNetwork) -> None:
    assert network.accuracy == 0.75
    options = {"search": "uniform", "activation_bits": 4, "weight_bits": 4, "progress": False}
    result = api.convert(MODEL, calibration=network.calibration, **options)
    labels = np.load(network.folder / "judge.npz")["y"]
    right = np.mean(Interpreter(result.model).run(X[160:]).reshape(100, -1).argmax(axis=1) == labels)
    assert network.loss_of(result.plan).points == pytest.approx(100 * (network.accuracy - right), abs=1e-9)


def test_plans_of_every_kind_are_drawn_alike_each_time(network: JudgedNetwork) -> None:
    plans = list(judged_plans("network", network, 6))
    assert [plan.kind for plan in plans] == [*KINDS, *KINDS]
    assert plans == list(judged_plans("network", network, 6))


def test_accepted_and_harmless_plans_are_counted() -> None:
    losses = (0.1, 0.9, 0.2), (0.1, 0.9, 0.7), (0.1, 1.6, 0.0), (0.6, 0.9, 2.0)  # points, limit, true
    plans = [JudgedPlan("a", "maps", 0.1, *loss, true_limit=1.0) for loss in losses]
    assert [plan.is_accepted for plan in plans] == [True, True, False, False]
    told = summary(plans)
    assert "2 of 4 plans accepted, of which 1 lose at most 0.5" in told
    assert "2 plans lose at most 0.25, of which 1 are accepted" in told


def test_a_trade_is_judged_with_each_compensation(network: JudgedNetwork) -> None:
    trader = Trader("network", network)
    nearest, fitted = trader.rows("W4A4", 0.0, ["off", "weights"])
    assert nearest.times == fitted.times > 1 and nearest.stage_bit_ops == fitted.stage_bit_ops <= fitted.bit_ops
    (maps,) = trader.rows("W8A4", 0.0, ["weights"])
    assert 1 <= maps.times < fitted.times
    (untouched,) = trader.rows("W4A4", 1.0, ["off"])
    assert untouched.times == 1 and untouched.points == 0


def test_a_budget_that_refuses_is_said_and_ends_no_table(network: JudgedNetwork, capsys) -> None:
    asked = argparse.Namespace(widths="W4A4,W4A8", lambdas="0.44", compensations="off")
    assert not list(bit_ops.rows_of(Trader("network", network, 0.01), asked))
    told = capsys.readouterr().out.splitlines()
    assert [line.split(": refused: ")[0] for line in told] == [f"network, {w}" for w in ("W4A4", "W4A8", "chosen")]
