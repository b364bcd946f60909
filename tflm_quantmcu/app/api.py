"""The Python interface: plan and convert. Each is one straight line through the other modules."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Union

import numpy as np

from tflm_quantmcu.app import report as reports
from tflm_quantmcu.app.front import front_of
from tflm_quantmcu.app.peak import why_not_smaller
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError, UnsupportedModelError, UsageError
from tflm_quantmcu.base.files import beside, read_bytes, write_atomically
from tflm_quantmcu.base.progress import stages
from tflm_quantmcu.calibration.calibrate import require_one_input
from tflm_quantmcu.calibration.calibrated import calibrate_int8
from tflm_quantmcu.calibration.calibration_file import load_calibration, require_calibration_of
from tflm_quantmcu.calibration.unified_scale import layerwise_plan
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Budget, ModelGraph
from tflm_quantmcu.native.handshake import load_op_library
from tflm_quantmcu.native.op_library import find_op_library
from tflm_quantmcu.patches.pareto import Point
from tflm_quantmcu.runtime.sample_sources import SampleSource, gather_samples
from tflm_quantmcu.runtime.samples import load_samples, random_inputs, to_model_input
from tflm_quantmcu.search.guard import keep_accuracy
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.overrides import FixedWidths, fixed_widths, read_overrides
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.registry import SEARCHES, find_search, finish_plan, refuse_unused
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.model_file import ModelFile

Path = Union[str, "os.PathLike[str]"]
KERAS_SUFFIXES = (".keras", ".h5")
SOURCES = ".tflite, .keras, .h5 and SavedModel folders"
_BY_ONNX = "torch.onnx.export(model, x, 'm.onnx'), then `onnx2tf -i m.onnx -osd -o folder` writes a SavedModel folder"
# Suffix of a format of others -> how to get from it to one of ours.
_FOREIGN = {
    ".onnx": "`onnx2tf -i m.onnx -osd -o folder` writes a SavedModel folder",
    **dict.fromkeys((".pt", ".pth", ".pt2", ".safetensors"), _BY_ONNX),
    ".pb": "give the folder that a saved_model.pb lies in",
}
VERIFY_SAMPLES = 4
# Stages of a call, as progress shows them.
_READ, _SEARCH, _WRITE = "reading and calibrating", "planning and searching", "writing and verifying"


@dataclasses.dataclass(frozen=True, eq=False)
class ConversionResult:
    """A converted model and its proof.

    Attributes:
      model: the `.tflite` bytes.
      plan: what was decided.
      report: bytes, work and checks before and after; printable, `save_html(path)`.
    """

    model: bytes
    plan: PrecisionPlan
    report: reports.ConversionReport

    def save(self, path: Path) -> None:
        """Writes the `.tflite` under a temporary name and renames it."""
        write_atomically(path, self.model)


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """The int8 model behind the user's `model` argument, in its canonical form."""

    model: ModelFile
    calibration: CalibrationResult | None

    @property
    def graph(self) -> ModelGraph:
        """The model's graph."""
        return self.model.graph

    def samples(self, count: int) -> np.ndarray | tuple[np.ndarray, ...]:
        """The first `count` model inputs of the calibration, else random ones: [count, ...] of the input's type; of
        several inputs one array each."""
        if self.calibration is not None:
            return self.calibration.samples[:count]
        return random_inputs([self.graph.tensors[t] for t in self.graph.inputs], count)


def plan(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    checkpoint: Path | None = None,
    **options: Any,
) -> PrecisionPlan:
    """Decides stages and bit widths.

    Args:
      model: a keras.Model, a path (.keras, .h5, SavedModel folder, .tflite) or the bytes of a full-integer int8
        `.tflite`.
      calibration: what `ActivationCalibrator.result` or `calibrate` gave, or its saved file.
      calibration_data: representative inputs [N, H, W, C], an .npz with them as `x`, or what gives them: a list, a dict
        by the input's name, a TFLite representative_dataset, a tf.data.Dataset, a generator (of what has no known end
        the first `max_samples`); calibrated on when there is no `calibration`.
      evaluation_data: labelled samples (x, y), or an .npz with them, by which the loss of accuracy is measured and some
        searches judge plans; judge the result by others. x: [N, ...], as of `to_model_input`; y: integers [N]. Without
        them the calibration samples' scores are compared with the unchanged model's.
      checkpoint: file of a long search's state: a call that was killed goes on from it if it is made again. It stays.
        That of the calibration lies beside it while it runs.
      **options: see `tflm_quantmcu.search.options.Options`; those of another search are refused.

    Raises:
      UsageError, UnsupportedModelError, BudgetError: see `tflm_quantmcu.base.errors`.
    """
    return timed_plan(
        model,
        calibration=calibration,
        calibration_data=calibration_data,
        evaluation_data=evaluation_data,
        checkpoint=checkpoint,
        **options,
    )[0]


def timed_plan(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    checkpoint: Path | None = None,
    **options: Any,
) -> tuple[PrecisionPlan, Callable[[], list[str]]]:
    """The plan as of `plan`, with a function that tells in words what an inference takes, unsplit and as planned, and
    what keeps the arena from being smaller; arguments and errors as of `plan`."""
    chosen = _chosen(options, calibration, calibration_data)
    find_op_library()  # what is missing is said before the long work
    labelled = None if evaluation_data is None else read_labelled(evaluation_data)
    with stages({_READ: 0.5, _SEARCH: 0.5}, progress=chosen.progress) as enter:
        enter(_READ)
        source = read_source(model, calibration, calibration_data, chosen, checkpoint)
        costs = _costs(source, chosen)
        enter(_SEARCH)
        found = _search(source, chosen, costs, labelled, checkpoint)
        _check_budget(costs, found, chosen.budget)
    is_bounded = chosen.sram_bytes is not None

    def told() -> list[str]:
        return [
            costs.time_text(found),
            *why_not_smaller(source.graph, costs.convert(found).graph, is_bounded=is_bounded),
        ]

    return found, told


def pareto_front(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    **options: Any,
) -> list[Point]:
    """What fewer bytes of arena cost in time, over all ways to split the model; with `max_macs_ratio` in MACs.

    Feature maps have 8 bits, of search uniform `activation_bits`; bounds do not count.

    Args:
      model, calibration, calibration_data, **options: as of `plan`.

    Raises:
      UsageError, UnsupportedModelError: see `tflm_quantmcu.base.errors`.
    """
    chosen = _chosen(options, calibration, calibration_data)
    return front_of(read_source(model, calibration, calibration_data, chosen).graph, chosen)


def convert(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    checkpoint: Path | None = None,
    plan: PrecisionPlan | Path | None = None,
    **options: Any,
) -> ConversionResult:
    """Converts a model, verifies it on TFLM and reports.

    Args:
      model, calibration, calibration_data, evaluation_data, checkpoint, **options: as of `plan`.
      plan: use this plan (or its file) instead of searching.

    Raises:
      UsageError, UnsupportedModelError, BudgetError: see `tflm_quantmcu.base.errors`.
      VerificationError: the converted model does not compute what it must; nothing is returned.
    """
    chosen = _chosen(options, calibration, calibration_data)
    load_op_library(find_op_library())  # what is missing is said before the long work
    labelled = None if evaluation_data is None else read_labelled(evaluation_data)
    with stages({_READ: 0.4, _SEARCH: 0.4, _WRITE: 0.2}, progress=chosen.progress) as enter:
        enter(_READ)
        source = read_source(model, calibration, calibration_data, chosen, checkpoint)
        costs = _costs(source, chosen)
        enter(_SEARCH)
        if plan is None:
            plan = _search(source, chosen, costs, labelled, checkpoint)
        else:
            if not isinstance(plan, PrecisionPlan):
                plan = PrecisionPlan.from_json(read_bytes(plan, "--plan").decode("utf-8", "replace"))
            plan = _finished(source, chosen, costs, plan, labelled)
        _check_budget(costs, plan, chosen.budget)
        enter(_WRITE)
        return _converted(source, costs, plan, chosen)


def _converted(source: Source, costs: PlanCosts, plan: PrecisionPlan, options: Options) -> ConversionResult:
    """The model rewritten as the plan says, verified on TFLM, with its report."""
    converted = costs.convert(plan)
    samples = source.samples(VERIFY_SAMPLES)
    verification = verify_conversion(source.model, converted, plan, samples, target=options.target)
    report = reports.build_report(
        source.model,
        converted,
        plan,
        verification,
        options=options,
        samples=samples if isinstance(samples, np.ndarray) else samples[0] if len(samples) == 1 else None,
        calibration=source.calibration,
    )
    return ConversionResult(converted.data, plan, report)


def _chosen(options: Mapping[str, Any], calibration: Any, calibration_data: Any) -> Options:
    """The options of keywords, none of which is without effect on their search; and of these arguments one."""
    chosen = Options.of(options)
    find_search(chosen.search)
    refuse_unused(options, [chosen.search])
    if calibration is not None and calibration_data is not None:
        raise UsageError("--calibration has been made, and --calibration_data is to make one; give one of them")
    if chosen.calibration_method != "own" and calibration is None and calibration_data is None:
        raise UsageError(
            f"--calibration_method {chosen.calibration_method} chooses ranges from a calibration: pass "
            "--calibration_data or --calibration"
        )
    return chosen


def _costs(source: Source, options: Options) -> PlanCosts:
    return PlanCosts(
        source.model,
        options.target,
        options.sram_scope,
        options.sram_bytes,
        options.strip_metadata,
        options.keep_stock_ops,
        options.flash_bytes,
        flash_scope=options.flash_scope,
    )


def _fixed(source: Source, options: Options) -> FixedWidths:
    rules = options.precision_overrides
    return fixed_widths(source.graph, read_overrides(rules)) if rules else FixedWidths()


def _finished(
    source: Source,
    options: Options,
    costs: PlanCosts,
    plan: PrecisionPlan,
    labelled: tuple[np.ndarray, np.ndarray] | None,
) -> PrecisionPlan:
    """A plan of the user's, with widths set by rules; a bound on accuracy counts if it is given."""
    problem = SearchProblem(
        source.graph,
        source.calibration,
        options.budget,
        costs,
        options,
        labelled=None if labelled is None else labelled_inputs(labelled, source.graph),
        fixed=_fixed(source, options),
    )
    finished = finish_plan(problem, plan)
    if options.max_accuracy_drop is None:
        return finished
    return keep_accuracy(problem, lambda _: finished, (), is_by_hand=True)


def _search(
    source: Source,
    options: Options,
    costs: PlanCosts,
    labelled: tuple[np.ndarray, np.ndarray] | None,
    checkpoint: Path | None,
) -> PrecisionPlan:
    def refine(plan: PrecisionPlan) -> PrecisionPlan:
        if source.calibration is None or source.calibration.method.name != "uspiq":
            return plan
        return layerwise_plan(source.model, plan, source.calibration.samples, progress=options.progress)

    return SEARCHES[options.search](
        source.graph,
        source.calibration,
        options.budget,
        costs,
        labelled=None if labelled is None else labelled_inputs(labelled, source.graph),
        seed=options.seed,
        progress=options.progress,
        checkpoint=checkpoint,
        fixed=_fixed(source, options),
        refine=refine,
        **options.search_flags,
    )


def read_labelled(
    data: tuple[np.ndarray, np.ndarray] | Path, flag: str = "--evaluation_data"
) -> tuple[np.ndarray, np.ndarray]:
    """Samples [N, ...] and their labels [N], each of the type that it has, before the model is known.

    Raises:
      UsageError: no such file, or no labels; the sentence names it or `flag`.
    """
    x, y = data if isinstance(data, tuple) else load_samples(data, None)
    if y is None or len(x) != len(y):
        raise UsageError(f"{flag} has no label for each sample: it needs the key 'y' [N] beside 'x'")
    return np.asarray(x), np.asarray(y)


def labelled_inputs(
    data: tuple[np.ndarray, np.ndarray], graph: ModelGraph, flag: str = "--evaluation_data"
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, ...] of the model's type and their labels [N], of what `read_labelled` gave.

    Raises:
      UsageError: they do not fit the model; the sentence names `flag`.
    """
    x, y = data
    return to_model_input(x, graph.tensors[graph.inputs[0]], name=flag), y


def _check_budget(costs: PlanCosts, plan: PrecisionPlan, budget: Budget) -> None:
    """Refuses a plan that exceeds a bound."""
    if budget == Budget():
        return
    found, work = costs.bytes_of(plan), costs.work_of(plan)
    remedies = {
        "sram_bytes": "lower the widths",
        "flash_bytes": "lower the weights: --search vdqs and memory_driven do it as far as needed, --weight_bits of "
        "--search uniform to one width",
        "max_bit_ops": "lower the widths",
        "max_instructions": "lower the widths of what the core runs faster with fewer bits",
    }
    reached = (found.arena_bytes, found.flash_bytes, work.bit_ops, work.instructions)
    for (flag, bound), value in zip(budget.flags.items(), reached, strict=True):
        if bound is not None and value > bound:
            unit = " bytes" if flag.endswith("_bytes") else ""
            raise BudgetError(
                f"--{flag} is {bound:,} and the smallest reached is {value:,}{unit}; raise --{flag} or {remedies[flag]}"
            )


def calibrate_model(
    model: Any, calibration_data: SampleSource | Path, *, checkpoint: Path | None = None, **options: Any
) -> CalibrationResult:
    """Measures the feature maps of a model.

    Args:
      model, calibration_data: as of `plan`.
      checkpoint: file that keeps what was counted: a call that was killed goes on from it if made again. It stays.
      **options: `calibration_method`, `calibration_percentile`, `max_samples`, `seed`, `n_jobs` and `progress`.

    Returns:
      The calibration; its `model` holds the int8 `.tflite` that was made, of a Keras model or with new 8-bit formats.

    Raises:
      UsageError, UnsupportedModelError: see `tflm_quantmcu.base.errors`.
    """
    return _calibrate(_read(model), calibration_data, Options.of(options), checkpoint)


def keras_from_tflite(model: bytes | Path) -> Any:
    """An ordinary Keras model of an int8 `.tflite`, to fine-tune what has no Keras source.

    Weights are the dequantised ones; batch normalisation stays folded into them. It takes and gives real values.

    Args:
      model: the file's bytes or its path.

    Raises:
      UsageError: no such file.
      UnsupportedModelError: not a full-integer int8 model, or an op that Keras has no layer for; the sentence names it.
    """
    from tflm_quantmcu.keras_bridge.from_tflite import keras_from_graph  # TensorFlow takes seconds to import

    graph = ModelFile.of(model).graph
    require_source(graph)
    return keras_from_graph(graph)


def read_source(
    model: Any,
    calibration: CalibrationResult | Path | None,
    calibration_data: SampleSource | Path | None,
    options: Options,
    checkpoint: Path | None = None,
) -> Source:
    """The int8 model of `plan`'s first arguments, calibrated if there are data; arguments and errors as of `plan`."""
    kept = checkpoint and beside(checkpoint, ".calibration")
    if calibration is not None and not isinstance(calibration, CalibrationResult):
        calibration = load_calibration(calibration)
    model = _read(model)
    if calibration is None and not isinstance(model, ModelFile):
        several = _of_several_inputs(model, calibration_data)
        model, calibration_data = (several, None) if several else (model, calibration_data)
    if not isinstance(model, ModelFile):
        if calibration is None:
            if calibration_data is None:
                raise UsageError("a Keras model needs representative inputs: pass --calibration_data or --calibration")
            calibration = _calibrate(model, calibration_data, options, kept)
        model = _calibrated_model(model, calibration)
    require_source(model.graph)
    if calibration is None and calibration_data is not None:
        calibration = _calibrate(model, calibration_data, options, kept)
    if kept:
        pathlib.Path(kept).unlink(missing_ok=True)
    if calibration is None:
        return Source(canonical(model), None)
    if options.method.name not in ("own", calibration.method.name):
        raise UsageError(
            f"the calibration was made with --calibration_method {calibration.method.name}, not {options.method.name}; "
            "calibrate anew or drop the flag"
        )
    if calibration.model is not None and calibration.source_sha256 == model.sha256:
        model = ModelFile(calibration.model)
    if calibration.model_sha256 != model.sha256:
        raise UsageError("the calibration was made for another model; calibrate this one anew")
    model = canonical(model)
    require_calibration_of(calibration, model.graph)
    return Source(model, calibration)


def _of_several_inputs(model: Any, data: SampleSource | Path | None) -> ModelFile | None:
    """The int8 `.tflite` of a Keras model with several inputs, whose feature maps are not measured; None of others."""
    from tflm_quantmcu.keras_bridge.several_inputs import arrays_by_input, input_names
    from tflm_quantmcu.keras_bridge.to_tflite import several_inputs_to_int8  # TensorFlow takes seconds to import

    if len(input_names(model)) < 2 or data is None:
        return None
    return ModelFile(several_inputs_to_int8(model, arrays_by_input(model, data)))


def _calibrated_model(model: Any, calibration: CalibrationResult) -> ModelFile:
    """The int8 `.tflite` that a calibration made of a Keras model; refuses that of another, or of former weights."""
    from tflm_quantmcu.keras_bridge.to_tflite import weights_sha256  # TensorFlow takes seconds to import

    if calibration.model is None or calibration.weights_sha256 is None:
        raise UsageError("the calibration was made for a .tflite; calibrate the Keras model")
    if calibration.weights_sha256 != weights_sha256(model):
        raise UsageError(
            f"the calibration was made of other weights than the Keras model '{model.name}' has: of another model, or "
            "before it was trained on; calibrate it anew"
        )
    return ModelFile(calibration.model)


def _read(model: Any) -> Any:
    """The ModelFile of bytes or a path, a keras.Model, or the keras.Model of a path."""
    if isinstance(model, bytes):
        return ModelFile(model)
    if not isinstance(model, (str, os.PathLike)):
        return model
    path = pathlib.Path(model)
    if path.suffix in _FOREIGN:
        raise UnsupportedModelError(
            f"{path} is no format that is read here: supported are {SOURCES}; {_FOREIGN[path.suffix]}"
        )
    if path.suffix not in KERAS_SUFFIXES and not path.is_dir():
        return ModelFile(read_bytes(model, "--model"))
    from tflm_quantmcu.keras_bridge.load import load_keras  # TensorFlow takes seconds to import

    return load_keras(model)


def _calibrate(
    model: Any, calibration_data: SampleSource | Path, options: Options, checkpoint: Path | None = None
) -> CalibrationResult:
    inputs: dict[str, Any] = {
        "method": options.method,
        "max_samples": options.max_samples,
        "seed": options.seed,
        "n_jobs": options.n_jobs,
        "progress": options.progress,
        "checkpoint": checkpoint,
    }
    tensor = None
    if isinstance(model, ModelFile):
        require_source(model.graph)
        require_one_input(model.graph)
        tensor = model.graph.tensors[model.graph.inputs[0]]
    if isinstance(calibration_data, (str, os.PathLike)):
        x = load_samples(calibration_data, tensor)[0]
    else:
        rank, name = (len(tensor.shape), tensor.label) if tensor is not None else _keras_input(model)
        x = gather_samples(calibration_data, rank=rank, input_name=name, max_samples=options.max_samples)
    if tensor is not None:
        return calibrate_int8(model, x, **inputs)
    from tflm_quantmcu.keras_bridge.activation_calibrator import calibrate_keras  # TensorFlow takes seconds to import

    return calibrate_keras(model, x, **inputs)


def _keras_input(model: Any) -> tuple[int | None, str | None]:
    """Dimensions of a batch of a Keras model's first input and its layer's name, as far as the model says."""
    from tflm_quantmcu.keras_bridge.to_tflite import input_name  # TensorFlow takes seconds to import

    inputs = getattr(model, "inputs", None)
    return (len(inputs[0].shape) if inputs else None), input_name(model)
