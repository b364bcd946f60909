"""Which loss a model is fine-tuned by, where the user names none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.keras_bridge.to_tflite import keras

LOOKED_AT = 8  # samples whose outputs tell shares from scores


def loss_of(model: keras.Model, samples: np.ndarray, loss: Any, metrics: Sequence[Any] | None) -> tuple[Any, Any]:
    """(loss, metrics): what is asked for, else what the model was compiled with, else those of a classifier.

    Args:
      model: that is trained.
      samples: its inputs, float32 [N, ...].
      loss, metrics: as of `keras.Model.compile`; None is not asked for.
    """
    if loss is None and getattr(model, "compiled", False):
        loss = model.loss
    if loss is not None:
        return loss, metrics
    scores = model.predict(samples[:LOOKED_AT], verbose=0)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=not _are_shares(scores)), metrics or ["accuracy"]


def _are_shares(scores: np.ndarray) -> bool:
    return bool(np.all(scores >= 0) and np.allclose(scores.sum(axis=-1), 1, atol=1e-3))


def distillation_loss(scores: Any) -> Any:
    """The divergence where the teacher's outputs are shares, else the squared error."""
    if isinstance(scores, np.ndarray) and _are_shares(scores):
        return keras.losses.KLDivergence()
    return keras.losses.MeanSquaredError()
