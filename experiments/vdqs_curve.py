"""The curve accuracy against BitOPs of VDQS on a labelled model: phi, lambda and when patches are classified.

    python -m experiments.vdqs_curve --model m.tflite --calibration_data c.npz --data labelled.npz --output curve.csv

Every point is a plan; its accuracy is that of the exact simulation (`oracle/simulate.py`, equal to TFLM in every byte),
its BitOPs those of its stages, the mean over the labelled samples. Rows without phi are the ablations: all maps at 8
bits, all maps and weights of the stages at the fewest bits that VDQS may give, and `--vdpc off`. All are repeated for
each of `--weights`, the fewest bits of weights, and of `--compensation`. At lambda 0 VDQS lowers all that saves BitOPs.
Options are to be chosen by `--search_data`, whose accuracy is a column of its own. `--verify` runs all plans on TFLM
too. With `--grid N` the stage is not the planner's but the longest one at the front whose N x N patches recompute all
halos within `--max_macs_ratio`: there every map may differ by class. At last the best accuracies of static and of
dynamic VDPC, the ablations counted with both, stand side by side at equal BitOPs.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import app, flags

from experiments.grid_stage import front_stage
from experiments.on_device import on_device
from tflm_quantmcu.app import api, evaluation
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import read_bytes, write_atomically
from tflm_quantmcu.calibration.outliers import PHIS
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.oracle.run_time_classes import bit_ops_on, classes_on
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.samples import load_samples, to_model_input
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.registry import finish_plan
from tflm_quantmcu.search.settings.vdqs import DEFAULT_LAMBDA
from tflm_quantmcu.search.uniform import stage_with_formats
from tflm_quantmcu.search.vdqs import quantize_stage
from tflm_quantmcu.search.widths import free_maps, free_weights
from tflm_quantmcu.stage.build import planned_program
from tflm_quantmcu.stage.geometry import stage_ops
from tflm_quantmcu.tflite.model_file import ModelFile

_MODEL = flags.DEFINE_string("model", None, "int8 .tflite.", required=True)
_CALIBRATION_DATA = flags.DEFINE_string("calibration_data", None, ".npz with x.", required=True)
_DATA = flags.DEFINE_string("data", None, ".npz with x and labels y.", required=True)
_SEARCH_DATA = flags.DEFINE_string("search_data", None, ".npz with other x and y, to choose options by.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the curve (.csv).")
_SRAM_BYTES = flags.DEFINE_integer("sram_bytes", None, "Bound on the non-persistent arena of any core.")
_MAX_MACS_RATIO = flags.DEFINE_float(
    "max_macs_ratio", None, "As of convert; of a --grid over the stage's ops, default 2."
)
_MIN_BITS = flags.DEFINE_integer("vdqs_min_bits", None, "As of convert.")
_WEIGHTS = flags.DEFINE_list("weights", ["8"], "Fewest bits of weights: values of --vdqs_min_weight_bits.")
_COMPENSATION = flags.DEFINE_list("compensation", ["weights"], "Values of --compensation.")
_GRID = flags.DEFINE_integer("grid", None, "N x N patches that keep nothing for each other.")
_VDPC = flags.DEFINE_list("vdpc", ["static", "dynamic"], "When patches are classified.")
_OUTLIER_FRACTION = flags.DEFINE_float("vdpc_outlier_fraction", None, "As of convert.")
_PHIS = flags.DEFINE_list("phis", [str(phi) for phi in PHIS], "Values of phi.")
_LAMBDAS = flags.DEFINE_list("lambdas", [f"{0.1 * n:.1f}" for n in range(1, 10)], "Values of lambda.")
_MAX_SAMPLES = flags.DEFINE_integer("max_samples", None, "Labelled samples used, the first ones; default all.")
_BATCH = flags.DEFINE_integer("batch", 125, "Samples simulated at once.")
_VERIFY = flags.DEFINE_bool("verify", False, "Run every plan on TFLM too.")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A plan on labelled samples.

    Attributes:
      accuracy: share of right answers.
      search_accuracy: the same on the samples to choose by, or None.
      bit_ops: of the stages, the mean.
      ordinary: share of all patches that are ordinary.
    """

    accuracy: float
    search_accuracy: float | None
    bit_ops: float
    ordinary: float


class Curve:
    """One model, its calibration and its labelled samples; plans that differ in nothing are measured once."""

    def __init__(self) -> None:
        self.model = ModelFile(read_bytes(_MODEL.value, "--model"))
        self.graph = self.model.graph
        self.x, self.y = self._labelled(_DATA.value)
        self.search_data = self._labelled(_SEARCH_DATA.value) if _SEARCH_DATA.value else None
        self.calibration = api.calibrate_model(self.model, _CALIBRATION_DATA.value)
        self.stage = front_stage(self.graph, _GRID.value, _MAX_MACS_RATIO.value or 2.0) if _GRID.value else None
        self._costs = PlanCosts(self.model)
        self._latest: dict[int, np.ndarray] = {}
        self._measured: dict[str, Measured] = {}
        self._on_tflm: dict[str, float] = {}

    def _labelled(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        tensor = self.graph.tensors[self.graph.inputs[0]]
        x, y = load_samples(path, tensor)
        if y is None:
            raise UsageError(f"{path} has no labels: the curve needs the key 'y' [N]")
        return to_model_input(x, tensor)[: _MAX_SAMPLES.value], y[: _MAX_SAMPLES.value]

    def plan(self, **options: Any) -> PrecisionPlan:
        """The plan by options of `convert`, on the planner's stages or on that of `--grid`."""
        scope = {"core": "any", "sram_scope": "nonpersistent"}  # as the costs that plans are measured by
        options = {"progress": False, **scope, **options}
        if "search" not in options:
            options.setdefault("vdqs_min_bits", min_bits())
        if self.stage is None:
            options |= {"sram_bytes": _SRAM_BYTES.value, "max_macs_ratio": _MAX_MACS_RATIO.value}
            return api.plan(self.model, calibration=self.calibration, **options)
        problem = self._problem(Options.of(options))
        found = quantize_stage(problem, self.stage)
        plan = PrecisionPlan(self.graph.sha256, {}, stages=(found.stage,), weight_bits=found.weight_bits)
        return finish_plan(problem, plan, is_new=True)

    def eight_bits(self) -> PrecisionPlan:
        """The stages alone."""
        if self.stage is None:
            return self.plan(search="uniform")
        return PrecisionPlan(self.graph.sha256, {}, stages=(self.stage,))

    def uniform(self, bits: int, weight_bits: int, compensation: str) -> PrecisionPlan:
        """All maps and weights of the stages at these widths."""
        problem = self._problem(Options.of({"compensation": compensation}))
        formats = {name: problem.format_of(name, bits) for name in free_maps(self.graph)} if bits < 8 else {}
        plan = self.eight_bits()
        ends = [(self.graph.by_name[s.input].index, self.graph.by_name[s.output].index) for s in plan.stages]
        inside = [op for source, target in ends for op in stage_ops(self.graph, (source,), target)]
        read = {self.graph.tensors[op.inputs[1]].name for op in inside if len(op.inputs) > 1}
        weights = [name for name in free_weights(self.graph, "none") if name in read]
        plan = dataclasses.replace(
            plan,
            stages=tuple(stage_with_formats(self.graph, stage, formats) for stage in plan.stages),
            weight_bits=dict.fromkeys(weights, weight_bits) if weight_bits < 8 else {},
        )
        return finish_plan(problem, plan, is_new=True)

    def _problem(self, options: Options) -> SearchProblem:
        problem = SearchProblem(self.graph, self.calibration, options.budget, self._costs, options)
        return dataclasses.replace(problem, _latest=self._latest)

    def measure(self, plan: PrecisionPlan) -> Measured:
        key = _key(plan)
        if key not in self._measured:
            self._measured[key] = self._simulate(plan)
        return self._measured[key]

    def _simulate(self, plan: PrecisionPlan) -> Measured:
        programs = [(s, planned_program(self.graph, plan, s)) for s in plan.stages]
        right, bit_ops, ordinary = 0, 0.0, []
        for start in range(0, len(self.x), _BATCH.value):
            labels = self.y[start : start + _BATCH.value]
            values = simulate(self.graph, plan, self.x[start : start + _BATCH.value])
            right += _num_right(values, labels)
            for stage, program in programs:
                bit_ops += len(labels) * bit_ops_on(program, values[stage.input])
                is_ordinary = np.array([c.name == "ordinary" for c in stage.classes])
                ordinary.append(is_ordinary[classes_on(program, values[stage.input])].ravel())
        accuracies = right / len(self.x), self._search_accuracy(plan)
        return Measured(*accuracies, bit_ops / len(self.x), float(np.concatenate(ordinary).mean()))

    def _search_accuracy(self, plan: PrecisionPlan) -> float | None:
        if self.search_data is None:
            return None
        x, y = self.search_data
        starts = range(0, len(x), _BATCH.value)
        parts = ((x[i : i + _BATCH.value], y[i : i + _BATCH.value]) for i in starts)
        return sum(_num_right(simulate(self.graph, plan, some), labels) for some, labels in parts) / len(x)

    def tflm_accuracy(self, plan: PrecisionPlan) -> float:
        key = _key(plan)
        if key not in self._on_tflm:
            self._on_tflm[key] = evaluation.accuracies([convert_model(self.model, plan)], self.x, self.y)[0]
        return self._on_tflm[key]


def _key(plan: PrecisionPlan) -> str:
    """All of a plan that computes."""
    stages = tuple(dataclasses.replace(stage, vdpc="") for stage in plan.stages)
    return dataclasses.replace(plan, search={}, notes=(), stages=stages).to_json()


def _num_right(values: Mapping[str, np.ndarray], labels: np.ndarray) -> int:
    scores = list(values.values())[-1].reshape(len(labels), -1)
    return int((scores.argmax(axis=1) == labels).sum())


def min_bits() -> int:
    """The smallest width of maps."""
    return _MIN_BITS.value or Options().vdqs_min_bits


def rows(curve: Curve) -> Iterator[dict[str, Any]]:
    """One a plan, each with the options that made it."""
    default = Options()
    base = curve.eight_bits()
    reference = curve.measure(base)
    yield _row("int8", "", "", curve, base, reference)
    for weight_bits, compensation in itertools.product(map(int, _WEIGHTS.value), _COMPENSATION.value):
        widths: dict[str, Any] = {"vdqs_min_weight_bits": weight_bits, "compensation": compensation}
        uniform = curve.uniform(min_bits(), weight_bits, compensation)
        yield _row(f"uniform a{min_bits()}", "", "", curve, uniform, reference, **widths)
        for weight in ("0.0", *_LAMBDAS.value):
            plan = curve.plan(vdpc="off", vdqs_lambda=float(weight), **widths)
            is_default = float(weight) == DEFAULT_LAMBDA
            yield _row("off", "", weight, curve, plan, reference, is_default=is_default, **widths)
        for vdpc, phi, weight in itertools.product(_VDPC.value, _PHIS.value, ("0.0", *_LAMBDAS.value)):
            options = {"vdpc": vdpc, "vdpc_phi": float(phi), "vdqs_lambda": float(weight)}
            plan = curve.plan(**options, vdpc_outlier_fraction=_OUTLIER_FRACTION.value, **widths)
            is_default = (float(phi), float(weight)) == (default.vdpc_phi, DEFAULT_LAMBDA)
            yield _row(vdpc, phi, weight, curve, plan, reference, is_default=is_default, **widths)


def _row(
    vdpc: str,
    phi: str,
    weight: str,
    curve: Curve,
    plan: PrecisionPlan,
    reference: Measured,
    *,
    is_default: bool = False,
    vdqs_min_weight_bits: int = 8,
    compensation: str = "",
) -> dict[str, Any]:
    measured = curve.measure(plan)
    return {
        "weights": vdqs_min_weight_bits,
        "compensation": compensation,
        "vdpc": vdpc,
        "phi": phi,
        "lambda": weight,
        "ordinary": round(measured.ordinary, 4),
        "search_accuracy": "" if measured.search_accuracy is None else round(measured.search_accuracy, 4),
        "accuracy": round(measured.accuracy, 4),
        "points_below_int8": round(100 * (reference.accuracy - measured.accuracy), 2),
        "stage_bit_ops": round(measured.bit_ops),
        "times_fewer_bit_ops": round(reference.bit_ops / measured.bit_ops, 3),
        **on_device(convert_model(curve.model, plan)),
        "default": int(is_default),
        "tflm_accuracy": round(curve.tflm_accuracy(plan), 4) if _VERIFY.value else "",
    }


def side_by_side(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each number of BitOPs at which static or dynamic VDPC gets better."""

    def best(vdpc: str, bit_ops: int) -> float:
        """The best accuracy for at most so many BitOPs; without classification there are rows of both."""
        able = (r["accuracy"] for r in found if r["vdpc"] in (vdpc, "off", "int8") and r["stage_bit_ops"] <= bit_ops)
        return max(able, default=0.0)

    before = (0.0, 0.0)
    for bit_ops in sorted({r["stage_bit_ops"] for r in found}):
        now = (best("static", bit_ops), best("dynamic", bit_ops))
        if now != before:
            yield f"at most {bit_ops:,} BitOPs: static {now[0]:.4f}, dynamic {now[1]:.4f}"
        before = now


def main(argv: list[str]) -> None:
    del argv
    found = []
    for row in rows(Curve()):
        found.append(row)
        print(" ".join(f"{k}={v}" for k, v in row.items() if v != ""), flush=True)
    print("\n".join(side_by_side(found)))
    if _OUTPUT.value:
        text = io.StringIO()
        writer = csv.DictWriter(text, found[0])
        writer.writeheader()
        writer.writerows(found)
        write_atomically(_OUTPUT.value, text.getvalue().encode())


if __name__ == "__main__":
    app.run(main)
