"""Laws A37 and A38: their worked examples."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.law.product_calls import LstmParams, SvdfParams
from tflm_quantmcu.law.recurrent import lstm_step, sigmoid16, svdf, tanh16

HALF = 1 << 30


def test_svdf_gives_the_worked_results() -> None:
    params = SvdfParams(
        batches=1,
        depth=2,
        filters=2,
        rank=1,
        memory=3,
        state_bytes=1,
        input_zero_point=-3,
        state_zero_point=4,
        output_zero_point=-5,
        feature_multiplier=(HALF, -6),
        multiplier=(HALF, -5),
    )
    constants = (
        np.array([[10, -20], [30, 40]], np.int8),
        np.array([[1, -2, 3], [40, 50, 60]], np.int8),
        np.array([100, -200], np.int32),
    )
    state = np.full((1, 2, 3), 4, np.int8)
    rows = [
        ((7, 9), (-3, -2), ((4, 4, 3), (4, 4, 10))),
        ((50, -60), (-3, -8), ((4, 3, 17), (4, 10, -1))),
        ((0, 127), (-5, 30), ((3, 17, -16), (10, -1, 45))),
    ]
    for x, expected, following in rows:
        y, state = svdf(params, np.array([x], np.int8), state, constants)
        assert (y.tolist(), state.tolist()) == ([list(expected)], [[list(row) for row in following]])


def test_lstm_gives_the_worked_results() -> None:
    params = LstmParams(
        batches=1,
        steps=1,
        depth=1,
        units=1,
        input_batch_step=1,
        input_time_step=1,
        output_batch_step=1,
        output_time_step=1,
        input_zero_point=3,
        hidden_zero_point=-2,
        gates=(((HALF, 0), (HALF, -1)),) * 4,
        forget_multiplier=(HALF, -14),
        update_multiplier=(HALF, -18),
        hidden_multiplier=(HALF, -22),
        tanh_shift=1,
        clip=0,
    )
    weights = np.array([[[100, 20], [-50, 30], [127, 40], [80, -10]]], np.int8)
    biases = np.array([[1000, 2000, -3000, 400]], np.int32)
    state = np.array([[-2]], np.int8), np.zeros((1, 1), np.int16)
    for x, hidden, cell in ((50, 11, 348), (-100, -22, -1309), (127, -22, -411)):
        state = lstm_step(params, np.array([[x]], np.int8), state, (weights, biases))
        assert (state[0].item(), state[1].item()) == (hidden, cell)


def test_functions_of_the_table_give_the_worked_results() -> None:
    x = np.array([-32768, -4096, -1, 0, 4096, 32767])
    assert sigmoid16(x).tolist() == [11, 8812, 16382, 16384, 23956, 32757]
    assert tanh16(x, 0).tolist() == [-32767, -24956, -8, 0, 24956, 32767]
