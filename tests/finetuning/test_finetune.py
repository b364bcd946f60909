"""Fine-tuning wins back accuracy at few bits, and what was trained is what is converted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.tiny_keras import SubclassedCnn, samples
from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.calibration.plan_formats import position_classes, renew_plan
from tflm_quantmcu.compensation.compensate import compensate
from tflm_quantmcu.finetuning.finetune import finetune
from tflm_quantmcu.finetuning.training_model import TrainingModel
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.keras_bridge.activation_calibrator import calibrate_keras
from tflm_quantmcu.keras_bridge.mapping import map_model
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf
from tflm_quantmcu.law.ranges import mse_format
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.samples import to_model_input, to_real
from tflm_quantmcu.tflite.reader import read_model

# One worker makes what they share, once.
pytestmark = pytest.mark.xdist_group("finetune")

layers = keras.layers
SIZE = 12


def _task(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise in which a stroke lies across, upright or along one of two diagonals."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.2, (count, SIZE, SIZE, 1)).astype(np.float32)
    y = rng.integers(0, 4, count)
    for image, label in zip(x[..., 0], y, strict=True):
        top, left = rng.integers(0, SIZE - 5, 2)
        stroke = (np.eye(5), np.eye(5)[::-1], np.eye(5)[[2] * 5], np.eye(5)[[2] * 5].T)[label]
        image[top : top + 5, left : left + 5] += 1.5 * stroke
    return x, y


X, Y = _task(512, 0)
HELD_OUT = _task(256, 1)


def _network() -> keras.Model:
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU(6.0, name="depthwise_relu")(layers.BatchNormalization(name="depthwise_norm")(y))
    y = layers.Conv2D(8, 1, name="project")(y)
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(16, 3, 2, "same", activation="relu", name="reduce")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x), name="tiny")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained model, its calibration and the graph of its int8 file."""

    model: keras.Model
    calibration: CalibrationResult
    graph: ModelGraph


@pytest.fixture(scope="module")
def trained() -> Trained:
    keras.utils.set_random_seed(1)
    model = _network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(X, Y, batch_size=32, epochs=10, verbose=0)
    calibration = calibrate_keras(model, X[:64], progress=False)
    assert calibration.model is not None
    return Trained(model, calibration, read_model(calibration.model))


def _plan(trained: Trained, bits: int, weight_bits: int, *, classes: int = 2) -> PrecisionPlan:
    """A stage up to the strided convolution's output, in 2 x 2 patches, one of them an outlier patch."""
    graph = trained.graph
    maps = [graph.tensors[op.outputs[0]] for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD")]
    stats = trained.calibration.stats
    lowered = {t.name: mse_format(stats[t.name].histogram, t.format, bits) for t in maps}
    output = maps[-1].name
    ordinary = PatchClass("ordinary", {n: f for n, f in lowered.items() if n != output})
    stage = StagePlan(
        input=graph.tensors[graph.inputs[0]].name,
        output=output,
        tile_height=3,
        tile_width=3,
        patch_classes=((0, 1), (1, 1)) if classes == 2 else ((0, 0), (0, 0)),
        classes=(PatchClass("outlier", {}), ordinary) if classes == 2 else (ordinary,),
        vdpc="static",
    )
    weights = [graph.tensors[op.inputs[1]].name for op in graph.ops if op.traits.has_filter]
    return PrecisionPlan(
        graph.sha256,
        {"method": "by hand"},
        stages=(stage,),
        formats={output: lowered[output]},
        weight_bits=dict.fromkeys(weights, weight_bits) if weight_bits < 8 else {},
    )


def _simulated(graph: ModelGraph, plan: PrecisionPlan | None, x: np.ndarray) -> np.ndarray:
    output = graph.tensors[graph.outputs[0]]
    return to_real(simulate(graph, plan, to_model_input(x, graph.tensors[graph.inputs[0]]))[output.name], output)


def _accuracy(graph: ModelGraph, plan: PrecisionPlan | None) -> float:
    x, y = HELD_OUT
    return float((_simulated(graph, plan, x).argmax(axis=1) == y).mean())


def _training_model(trained: Trained, plan: PrecisionPlan) -> TrainingModel:
    assert trained.calibration.model is not None
    mapping = map_model(trained.model, trained.calibration.model, X[:4])
    return TrainingModel.of(trained.model, trained.graph, plan, mapping, X.shape[1:])


@pytest.fixture(scope="module")
def tuned(trained, tmp_path_factory) -> tuple[PrecisionPlan, qm.FinetuneResult, str]:
    """A model tuned at 2-bit maps and weights, with a checkpoint of the last epoch's weights."""
    plan = _plan(trained, 2, 2)
    weights = str(tmp_path_factory.mktemp("checkpoint") / "last.weights.h5")
    result = finetune(
        trained.model,
        plan,
        (X, Y),
        epochs=4,
        batch_size=32,
        calibration=trained.calibration,
        calibration_data=X[:64],
        callbacks=[keras.callbacks.ModelCheckpoint(weights, save_weights_only=True)],
        optimizer=keras.optimizers.Adam(0.01),
        verbose=0,
    )
    return plan, result, weights


@pytest.mark.parametrize(
    "bits, weight_bits, tolerance", [(8, 8, 0.02), (4, 8, 0.05), (2, 8, 0.08), (8, 4, 0.08), (2, 2, 0.3)]
)
def test_training_sees_what_the_simulation_computes(trained, bits, weight_bits, tolerance):
    plan = _plan(trained, bits, weight_bits, classes=1)
    y = np.asarray(_training_model(trained, plan)(X[:64]))
    expected = _simulated(trained.graph, plan, X[:64])
    assert np.abs(y - expected).mean() < tolerance * np.abs(expected).mean()


def test_training_starts_from_the_compensated_weights():
    """Also where normalisation turns a channel's sign, or silences it."""
    model = _network()
    norms = [model.get_layer(name) for name in ("stem_norm", "depthwise_norm")]
    for norm in norms:
        norm.gamma.assign([1.0, -1.0, 0.0, 2.0, 1.0, -0.5, 1.0, 1.0])
        norm.moving_mean.assign(np.linspace(-0.2, 0.2, 8))
    calibration = calibrate_keras(model, X[:64], progress=False)
    trained = Trained(model, calibration, read_model(calibration.model))
    graph, nearest = trained.graph, _plan(trained, 8, 2)
    assert calibration.samples is not None
    plan = compensate(graph, nearest, calibration.samples)
    assert len(plan.rounded_weights) == len(nearest.weight_bits)
    own = model.get_layer("stem").kernel.numpy()
    _training_model(trained, dataclasses.replace(nearest, weight_bits={}, rounded_weights=plan.rounded_weights))
    assert np.array_equal(model.get_layer("stem").kernel, own), "rounded weights of another width do not count"
    training = _training_model(trained, plan)
    kernel = model.get_layer("stem").kernel.numpy()
    assert np.array_equal(kernel[..., 2], own[..., 2]) and not np.array_equal(kernel, own)
    assert all(len(np.unique(kernel[..., o])) <= 4 for o in range(8) if o != 2)
    expected, without = (_simulated(graph, p, X[:64]) for p in (plan, nearest))
    error = np.abs(training(X[:64]) - expected).mean()
    assert error < 0.25 * np.abs(without - expected).mean()
    for norm in norms:
        assert not np.allclose(norm.moving_mean, np.linspace(-0.2, 0.2, 8)), "bias corrections"


def test_layers_of_two_kernels_and_layers_used_twice_start_compensated():
    image = keras.Input((SIZE, SIZE, 4))
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    x = layers.SeparableConv2D(6, 3, name="two_kernels")(twice(layers.ReLU()(twice(image))))
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))
    x = np.random.default_rng(2).normal(0, 1, (64, SIZE, SIZE, 4)).astype(np.float32)
    calibration = calibrate_keras(model, x, progress=False)
    assert calibration.model is not None and calibration.samples is not None
    graph = read_model(calibration.model)
    weights = [graph.tensors[op.inputs[1]].name for op in graph.ops if op.traits.has_filter]
    plan = compensate(
        graph, PrecisionPlan(graph.sha256, {}, weight_bits=dict.fromkeys(weights, 4)), calibration.samples
    )
    convolutions = [op for op in graph.ops if op.traits.has_filter]
    assert len(convolutions) == 5 and len(plan.rounded_weights) >= 4
    before = model.get_layer("two_kernels").bias.numpy()
    training = TrainingModel.of(model, graph, plan, map_model(model, calibration.model, x[:4]), x.shape[1:])
    assert np.array_equal(model.get_layer("two_kernels").bias, before)
    first, second = (plan.bias_corrections[graph.tensors[op.outputs[0]].name] for op in convolutions[:2])
    assert np.allclose(model.get_layer("twice").bias, np.add(first, second) / 2, rtol=1e-5)
    expected = _simulated(graph, plan, x)
    assert np.abs(training(x) - expected).mean() < 0.1 * np.abs(expected).mean()


def test_training_sees_the_classes_of_the_patches(trained):
    """Nearer to the simulation than either class everywhere."""
    plan = _plan(trained, 2, 8)
    expected = _simulated(trained.graph, plan, X[:64])
    grids = (((0, 1), (1, 1)), ((0, 0), (0, 0)), ((1, 1), (1, 1)))
    errors = []
    for grid in grids:
        stage = dataclasses.replace(plan.stages[0], patch_classes=grid)
        y = np.asarray(_training_model(trained, dataclasses.replace(plan, stages=(stage,)))(X[:64]))
        errors.append(float(np.abs(y - expected).mean()))
    assert errors[0] < 0.8 * min(errors[1:])


def test_a_position_has_the_class_of_the_patch_it_lies_in(trained):
    plan = _plan(trained, 4, 8)
    inner = trained.graph.by_name[next(iter(plan.stages[0].classes[1].formats))]
    assert inner.shape[1:3] == (12, 12)
    classes = position_classes(trained.graph, plan.stages[0], inner)
    assert np.array_equal(classes, np.kron([[0, 1], [1, 1]], np.ones((6, 6), int)))
    stage = dataclasses.replace(plan.stages[0], patch_classes=((CHOSEN_AT_RUN_TIME,) * 2,) * 2)
    assert np.array_equal(position_classes(trained.graph, stage, inner), np.ones((12, 12), int))


def test_accuracy_comes_back_at_two_bits(trained, tuned):
    plan, result, _ = tuned
    whole = _accuracy(trained.graph, None)
    before = _accuracy(trained.graph, plan)
    after = _accuracy(read_model(result.calibration.model), result.plan)
    assert whole > 0.9 and before < whole - 0.2, (whole, before)
    assert after > whole - 0.1, (whole, before, after)
    assert list(result.history) == ["loss"] and len(result.history["loss"]) == 4


def test_the_plan_is_the_same_but_for_formats_and_model(trained, tuned):
    plan, result, _ = tuned
    graph = read_model(result.calibration.model)
    assert result.plan.model_sha256 == graph.sha256 != trained.graph.sha256
    (old,), (new,) = plan.stages, result.plan.stages
    assert (new.tile_height, new.tile_width, new.patch_classes) == (3, 3, old.patch_classes)
    assert len(result.plan.weight_bits) == len(plan.weight_bits)
    planned = {**plan.formats, **old.classes[1].formats}
    learned = {**result.plan.formats, **new.classes[1].formats}
    assert len(planned) == len(learned) == 5
    for a, b in zip(planned.values(), learned.values(), strict=True):
        assert (a.bits, a.zero_point) == (b.bits, b.zero_point)
        assert a.scale != b.scale and 0.2 < b.scale / a.scale < 5
    assert result.plan.search["finetuned"] == {"epochs": 4, "seed": 0, "from": plan.model_sha256}


def test_the_package_offers_the_function():
    assert qm.finetune is finetune and qm.FinetuneResult.__module__ == "tflm_quantmcu.finetuning.finetune"


def test_the_result_converts_under_its_plan(tuned):
    _, result, _ = tuned
    converted = qm.convert(result.model, plan=result.plan, calibration=result.calibration)
    graph = read_model(result.calibration.model)
    assert np.array_equal(qm.Interpreter(converted.model).predict(X[:4]), _simulated(graph, result.plan, X[:4]))


def test_the_result_is_an_ordinary_model(trained, tuned, tmp_path):
    _, result, _ = tuned
    assert [type(layer) for layer in result.model.layers] == [type(layer) for layer in trained.model.layers]
    assert [layer.name for layer in result.model.layers] == [layer.name for layer in trained.model.layers]
    result.model.save(tmp_path / "m.keras")
    assert np.array_equal(keras.models.load_model(tmp_path / "m.keras")(X[:4]), result.model(X[:4]))
    result.model.export(str(tmp_path / "saved"), verbose=False)
    kernel = result.model.get_layer("reduce").kernel
    assert all(len(np.unique(np.round(np.asarray(kernel)[..., o], 6))) <= 4 for o in range(16)), "2-bit weights"
    assert len(np.unique(trained.model.get_layer("reduce").kernel)) > 500, "the given model stays as it was"


def test_a_checkpoint_of_weights_gives_the_same_result_again(trained, tuned):
    plan, result, weights = tuned
    again = finetune(
        trained.model, plan, (X, Y), epochs=0, calibration=trained.calibration, calibration_data=X[:64],
        initial_weights=weights,
    )  # fmt: skip
    assert again.calibration.model == result.calibration.model
    assert again.plan.stages == result.plan.stages and again.plan.formats == result.plan.formats


def test_datasets_callbacks_and_checkpoints_of_models(tmp_path):
    """The checkpoint is one that Keras alone loads; the best epoch's weights are kept on request."""
    stack = [keras.Input((SIZE, SIZE, 1)), layers.Conv2D(4, 5, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
    model = keras.Sequential(stack)
    calibration = calibrate_keras(model, X[:48], progress=False)
    graph = read_model(calibration.model)
    weights = graph.tensors[graph.ops[0].inputs[1]].name
    plan = PrecisionPlan(graph.sha256, {}, weight_bits={weights: 4})
    data = tf.data.Dataset.from_tensor_slices((X[:64], Y[:64])).batch(32)
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True),
    ]
    result = finetune(
        model, plan, data, epochs=2, max_samples=48, validation_data=data, callbacks=callbacks, verbose=0
    )  # fmt: skip
    saved = keras.models.load_model(tmp_path / "best.keras")
    assert np.array_equal(saved(X[:4]), result.model(X[:4]))
    assert len(result.calibration.samples) == 48
    assert set(result.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}


def test_formats_follow_the_model_to_other_names_and_ranges(trained):
    graph, plan = trained.graph, _plan(trained, 4, 4)
    tensors = tuple(
        dataclasses.replace(t, name=f"x{t.index}", scales=tuple(2 * s for s in t.scales)) for t in graph.tensors
    )
    new = dataclasses.replace(graph, tensors=tensors, sha256="new")
    name, format = next(iter(plan.formats.items()))
    other = dataclasses.replace(format, scale=7.0)
    eight = graph.tensors[graph.inputs[0]]
    plan = dataclasses.replace(plan, formats={**plan.formats, eight.name: eight.format})
    renewed = renew_plan(plan, graph, new, {(name, format): other})
    assert renewed.formats == {
        f"x{graph.by_name[name].index}": other,
        f"x{eight.index}": dataclasses.replace(eight.format, scale=2 * eight.format.scale),
    }
    assert renewed.stages[0].output == f"x{graph.by_name[name].index}" and renewed.model_sha256 == "new"
    assert list(renewed.weight_bits) == [f"x{graph.by_name[n].index}" for n in plan.weight_bits]
    with pytest.raises(UnsupportedModelError, match="converts to another graph"):
        renew_plan(plan, graph, dataclasses.replace(new, ops=new.ops[:-1]), {})


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras' own, of datasets without a length
def test_the_rate_falls_with_the_steps_however_few_the_epochs(trained):
    """Half of it from half of the steps on, a tenth from four fifths; with batches of 51 an epoch has ten steps."""
    rates: list[float] = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    plan, x = _plan(trained, 4, 4), X[:510]
    arguments = {"calibration": trained.calibration, "calibration_data": X[:64], "callbacks": [Rates()], "verbose": 0}
    finetune(trained.model, plan, (x, Y[:510]), epochs=1, batch_size=51, **arguments)
    assert np.allclose(rates, [1e-4] * 5 + [5e-5] * 3 + [1e-5] * 2)
    rates.clear()
    data = tf.data.Dataset.from_tensor_slices((x, Y[:510])).filter(lambda x, y: True).batch(255)
    finetune(trained.model, plan, data, epochs=2, learning_rate=0.1, **arguments)
    assert np.allclose(rates, [0.1, 0.1, 0.05, 0.05]), "steps that are not known beforehand: by epochs"


def test_without_labels_the_model_s_own_outputs_are_learned(trained):
    plan = _plan(trained, 2, 2)
    result = finetune(
        trained.model,
        plan,
        X,
        epochs=8,
        batch_size=32,
        calibration=trained.calibration,
        calibration_data=X[:64],
        learning_rate=0.01,
        verbose=0,
    )
    assert "accuracy" not in result.history and result.history["loss"][-1] < 0.5 * result.history["loss"][0]
    before = _accuracy(trained.graph, plan)
    assert result.calibration.model is not None
    assert _accuracy(read_model(result.calibration.model), result.plan) > before + 0.1


def test_the_command_writes_what_convert_takes(trained, tmp_path, capsys):
    trained.model.save(tmp_path / "m.keras")
    qm.save_calibration(trained.calibration, tmp_path / "c.npz")
    (tmp_path / "plan.json").write_text(_plan(trained, 4, 4).to_json())
    np.savez(tmp_path / "t.npz", x=X[:64], y=Y[:64])
    files = f"--model {tmp_path}/m.keras --plan {tmp_path}/plan.json --calibration {tmp_path}/c.npz"
    tail = f"--train_data {tmp_path}/t.npz --output_dir {tmp_path}/tuned --noprogress"
    cli.run(f"finetune {files} {tail} --epochs 2".split())
    assert "wrote model.keras, plan.json and calibration.npz" in capsys.readouterr().out
    tuned = tmp_path / "tuned"
    arguments = f"--plan {tuned}/plan.json --calibration {tuned}/calibration.npz --output {tmp_path}/o.tflite"
    cli.run(f"convert --model {tuned}/model.keras {arguments} --noprogress".split())
    assert (tmp_path / "o.tflite").exists()
    with pytest.raises(UsageError, match="--epochs is 0"):
        cli.run(f"finetune {files} {tail} --epochs 0".split())
    with pytest.raises(UsageError, match="representative_data"):
        np.savez(tmp_path / "t.npz", x=X[:64, :5])
        cli.run(f"finetune {files} {tail}".split())


def test_what_does_not_fit_is_refused(trained):
    plan = _plan(trained, 4, 8)
    arguments = {"calibration": trained.calibration, "epochs": 0}
    with pytest.raises(UsageError, match="the calibration is of another model than the plan"):
        finetune(trained.model, dataclasses.replace(plan, model_sha256="0"), (X, Y), **arguments)
    with pytest.raises(UsageError, match="the plan names tensor 'nowhere'"):
        finetune(trained.model, dataclasses.replace(plan, weight_bits={"nowhere": 4}), (X, Y), **arguments)
    with pytest.raises(UsageError, match="pass calibration_data too"):
        finetune(trained.model, plan, iter([(X, Y)]), **arguments)
    with pytest.raises(UnsupportedModelError, match="is a subclass"):
        finetune(SubclassedCnn(), plan, samples(), **arguments)


def test_lowered_maps_inside_one_layer_are_refused():
    x = keras.Input((6, 6, 2))
    y = layers.SeparableConv2D(4, 3, activation="relu")(x)
    model = keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))
    data = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype(np.float32)
    calibration = calibrate_keras(model, data, progress=False)
    graph = read_model(calibration.model)
    inner = graph.tensors[graph.ops[0].outputs[0]]
    format = mse_format(calibration.stats[inner.name].histogram, inner.format, 4)
    plan = PrecisionPlan(graph.sha256, {}, formats={inner.name: format})
    with pytest.raises(UnsupportedModelError, match="which is no Keras operation's output"):
        finetune(model, plan, (data, np.zeros(16, int)), calibration=calibration, calibration_data=data)
