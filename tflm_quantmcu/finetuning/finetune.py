"""Quantisation-aware fine-tuning: trains a Keras model to live with a plan's widths, then renews the plan.

In: a Keras model, a plan for its int8 `.tflite`, labelled data. Out: a Keras model of the same layers and names, and
the same plan for the int8 `.tflite` of that. While training, every feature map and kernel has the values that the
plan's formats hold. Refuses what it cannot see: subclassed models, lowered maps inside one Keras operation.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.base.files import read_bytes, write_atomically
from tflm_quantmcu.calibration.calibration_file import load_calibration, save_calibration
from tflm_quantmcu.calibration.plan_formats import renew_plan
from tflm_quantmcu.finetuning.losses import distillation_loss, loss_of
from tflm_quantmcu.finetuning.training_model import TrainingModel
from tflm_quantmcu.graph.calibration_result import CalibrationMethod, CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.keras_bridge.activation_calibrator import calibrate_keras
from tflm_quantmcu.keras_bridge.load import load_keras
from tflm_quantmcu.keras_bridge.mapping import map_model, require_graph
from tflm_quantmcu.keras_bridge.to_tflite import check_representative_data, keras, tf
from tflm_quantmcu.runtime.samples import choose_samples, load_samples
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

LEARNING_RATE = 1e-4
# Share of all steps from which the rate is so many times the first one; of 10 epochs that is from the 5th and the 8th.
RATE_STEPS = ((0.5, 0.5), (0.8, 0.1))
MAPPING_SAMPLES = 8

Path = Union[str, "os.PathLike[str]"]


@dataclasses.dataclass(frozen=True, eq=False)
class FinetuneResult:
    """A fine-tuned model and what is needed to convert it: `convert(r.model, plan=r.plan, calibration=r.calibration)`.

    Attributes:
      model: the Keras model, of ordinary layers.
      plan: stages and widths of the plan given, with learned formats, for the int8 `.tflite` in `calibration`.
      calibration: of `model`; holds its int8 `.tflite`.
      history: metric -> value an epoch, as Keras' History.
    """

    model: keras.Model
    plan: PrecisionPlan
    calibration: CalibrationResult
    history: Mapping[str, Sequence[float]]


def finetune(
    model: keras.Model,
    plan: PrecisionPlan,
    train_data: Any,
    *,
    epochs: int = 10,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: np.ndarray | None = None,
    max_samples: int = 256,
    batch_size: int = 128,
    validation_data: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    optimizer: Any = None,
    learning_rate: float = LEARNING_RATE,
    loss: Any = None,
    metrics: Sequence[Any] | None = None,
    frozen_norm_epoch: int = 1,
    initial_weights: Path | None = None,
    seed: int = 0,
    verbose: Any = "auto",
) -> FinetuneResult:
    """Fine-tunes a copy of a model under a plan, from the weights and biases that the plan's compensation found.

    Args:
      model: functional or Sequential, the one that the plan's int8 `.tflite` came from; it stays as it is.
      plan: of `plan` or `convert`.
      train_data: (x, y), (x, y, sample weights), or a batched tf.data.Dataset; x alone is trained towards the outputs
        of `model` itself (distillation), which needs no labels and suits little data.
      epochs: 0 trains nothing: with `initial_weights` the plan is renewed for them.
      calibration: of `model`, with the int8 `.tflite` that the plan was made for. None converts `model` anew.
      calibration_data: representative inputs [N, ...]; None draws them from `train_data`.
      max_samples: representative inputs used at most.
      batch_size: of arrays.
      validation_data, callbacks, metrics, verbose: as of Keras' `fit` and `compile`. The model that callbacks see saves
        itself as one of ordinary layers, and its weights with the learned scales.
      optimizer: None is Adam at `learning_rate`, half of it from half of the steps on, a tenth from four fifths.
      learning_rate: of that.
      loss: None is the compiled model's, else sparse cross entropy of what the model's outputs are, logits or shares.
      frozen_norm_epoch: from this epoch on, counted from 0, batch normalisation keeps its statistics.
      initial_weights: a file that ModelCheckpoint(save_weights_only=True) wrote during such a run.
      seed: of everything random, by `keras.utils.set_random_seed`.

    Raises:
      UsageError: a plan for another model, or data that do not fit.
      UnsupportedModelError: a subclassed model, or a plan that lowers what is not a Keras operation's output.

    Source: the recipe is that of Rusci et al. (arXiv 1905.13082); learned scales see `keras_bridge/fake_quant.py`.
    Ours: the format of a position that patches of several classes compute is that of the patch it lies in, see
    `position_classes`.
    """
    require_graph(model)
    if isinstance(train_data, np.ndarray):
        train_data = (train_data, model.predict(train_data, verbose=0))
        loss, metrics = loss or distillation_loss(train_data[1]), metrics or []
    keras.utils.set_random_seed(seed)
    if calibration_data is None:
        calibration_data = _inputs_of(train_data, max_samples)
    samples = choose_samples(np.asarray(calibration_data), max_samples=max_samples, seed=seed)
    file = _int8_model(model, plan, samples, calibration)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    mapping = map_model(copy, file, samples[:MAPPING_SAMPLES])
    training = TrainingModel.of(copy, file.graph, plan, mapping, samples.shape[1:])
    loss, metrics = loss_of(model, samples, loss, metrics)
    is_own_rate = optimizer is None
    optimizer = keras.optimizers.get(optimizer or keras.optimizers.Adam(learning_rate))
    optimizer.build(training.trainable_variables)
    training.compile(optimizer=optimizer, loss=loss, metrics=metrics, jit_compile=False)  # XLA is slower on a CPU
    if initial_weights is not None:
        training.load_weights(initial_weights)
    history = {}
    if epochs:
        history = training.fit(
            **_fit_data(train_data, batch_size),
            epochs=epochs,
            validation_data=validation_data,
            callbacks=[_Recipe(epochs, frozen_norm_epoch, learning_rate if is_own_rate else None), *callbacks],
            verbose=verbose,
        ).history
    tuned = training.ordinary_model()
    method = CalibrationMethod.of_flags(plan.search)
    result = calibrate_keras(tuned, samples, method=method, max_samples=max_samples, seed=seed, progress=False)
    assert result.model is not None
    renewed = renew_plan(plan, file.graph, canonical(ModelFile(result.model)).graph, training.learned_formats())
    provenance = {**plan.search, "finetuned": {"epochs": epochs, "seed": seed, "from": plan.model_sha256}}
    return FinetuneResult(tuned, dataclasses.replace(renewed, search=provenance), result, history)


def finetune_file(
    model: Path,
    plan: Path,
    *,
    train_data: Path,
    output_dir: Path,
    calibration: Path | None = None,
    calibration_data: Path | None = None,
    epochs: int = 10,
    learning_rate: float = LEARNING_RATE,
    distill: bool = False,
    max_samples: int = 256,
    seed: int = 0,
    progress: bool = True,
) -> str:
    """Fine-tunes the model of a file under the plan of a file; says what it did.

    Args:
      model: .keras or .h5.
      plan: plan.json.
      train_data: .npz with x and labels y; without y the model's own outputs are learned.
      output_dir: folder for model.keras, plan.json and calibration.npz; made if it is not there.
      calibration, epochs, max_samples, seed: as of `finetune`.
      calibration_data: .npz with x; None draws them from `train_data`.
      learning_rate: of Adam, at first.
      distill: learn the model's own outputs though there are labels.
      progress: Keras' progress on standard output.

    Raises:
      UsageError, UnsupportedModelError: see `finetune`.
    """
    if epochs < 1 or not learning_rate > 0:
        raise UsageError(f"--epochs is {epochs} and --learning_rate {learning_rate}; both must be positive")
    source = load_keras(model)
    chosen = PrecisionPlan.from_json(read_bytes(plan, "--plan").decode("utf-8", "replace"))
    x, y = load_samples(train_data, None)
    check_representative_data(source, x)
    samples = None if calibration_data is None else load_samples(calibration_data, None)[0]
    folder = pathlib.Path(output_dir)
    tuned = finetune(
        source,
        chosen,
        x if distill or y is None else (x, y),
        epochs=epochs,
        calibration=calibration,
        calibration_data=samples,
        max_samples=max_samples,
        learning_rate=learning_rate,
        seed=seed,
        verbose=2 if progress else 0,
    )
    folder.mkdir(parents=True, exist_ok=True)
    tuned.model.save(folder / "model.keras")
    write_atomically(folder / "plan.json", tuned.plan.to_json().encode())
    save_calibration(tuned.calibration, folder / "calibration.npz")
    losses = tuned.history["loss"]
    return f"loss {losses[0]:.4f} -> {losses[-1]:.4f}; wrote model.keras, plan.json and calibration.npz to {folder}"


class _Recipe(keras.callbacks.Callback):
    """Freezes batch normalisation, and lowers the learning rate if one is given."""

    def __init__(self, epochs: int, frozen_norm_epoch: int, learning_rate: float | None) -> None:
        super().__init__()
        self._epochs = epochs
        self._frozen_norm_epoch = frozen_norm_epoch
        self._learning_rate = learning_rate
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        if epoch >= self._frozen_norm_epoch:
            self.model.freeze_normalization()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        steps = self.params["steps"]  # None of a dataset without a length: then the rate falls between epochs
        done = (self._epoch + (batch / steps if steps else 0)) / self._epochs
        factor = [1.0, *(factor for share, factor in RATE_STEPS if done >= share)][-1]
        if self._learning_rate is not None:
            self.model.optimizer.learning_rate = self._learning_rate * factor


def _int8_model(
    model: keras.Model, plan: PrecisionPlan, samples: np.ndarray, calibration: CalibrationResult | Path | None
) -> ModelFile:
    """The int8 `.tflite` that the plan's names are those of."""
    if calibration is not None and not isinstance(calibration, CalibrationResult):
        calibration = load_calibration(calibration)
    if calibration is None:
        calibration = calibrate_keras(model, samples, method=CalibrationMethod.of_flags(plan.search), progress=False)
    elif calibration.model_sha256 != plan.model_sha256:
        raise UsageError("the calibration is of another model than the plan; pass the one that the plan was made with")
    if calibration.model is None:
        raise UsageError("the calibration was made for a .tflite; calibrate the Keras model")
    file = canonical(ModelFile(calibration.model))
    known = file.graph.by_name
    _require_all_channels(file)
    named = [*plan.formats, *plan.weight_bits, *(n for s in plan.stages for n in (s.input, s.output))]
    for name in [*named, *(n for s in plan.stages for c in s.classes for n in c.formats)]:
        if name not in known:
            raise UsageError(f"the plan names tensor '{name}', which the model's int8 .tflite does not have")
    return file


def _require_all_channels(file: ModelFile) -> None:
    """Refuses a model that lost constant channels, of which Keras' kernels know nothing."""
    for tensor in file.origin.graph.tensors:
        found = file.graph.by_name.get(tensor.name)
        if (
            found
            and not found.is_constant
            and found.shape[-1:] != tensor.shape[-1:]
            and len(found.shape) == len(tensor.shape)
        ):
            dropped = tensor.shape[-1] - found.shape[-1]
            raise UnsupportedModelError(
                f"'{tensor.label}' has {dropped} constant channels, which a conversion drops and fine-tuning cannot: "
                "train without them, or convert without fine-tuning"
            )


def _inputs_of(train_data: Any, count: int) -> np.ndarray:
    if isinstance(train_data, (tuple, list)):
        return np.asarray(train_data[0])
    if not isinstance(train_data, tf.data.Dataset):
        raise UsageError("train_data is neither (x, y) nor a tf.data.Dataset; pass calibration_data too")
    parts: list[np.ndarray] = []
    for batch in train_data:
        parts.append(np.asarray(batch[0]))
        if sum(map(len, parts)) >= count:
            break
    return np.concatenate(parts)


def _fit_data(train_data: Any, batch_size: int) -> dict[str, Any]:
    if not isinstance(train_data, (tuple, list)):
        return {"x": train_data, "shuffle": False}
    return {"batch_size": batch_size, **dict(zip(("x", "y", "sample_weight"), train_data, strict=False))}
