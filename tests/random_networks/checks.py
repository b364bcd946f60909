"""What must hold of a random network: split at 8 bits it equals stock TFLM, below 8 bits TFLM equals the oracle."""

from __future__ import annotations

import dataclasses

import tflm_quantmcu as qm
from tests.random_networks.generator import random_network
from tests.random_networks.wide import wide_plan
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.samples import random_inputs
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

_MAX_SLOWDOWN = 4.0  # small tiles with many halos


@dataclasses.dataclass(frozen=True)
class Checked:
    """A network that has passed.

    Attributes:
      seed: of it.
      model: the `.tflite` as generated.
      converted: split at 8 bits.
      num_stages: of the split.
      num_maps: compared with the oracle below 8 bits, a sample.
    """

    seed: int
    model: bytes
    converted: bytes
    num_stages: int
    num_maps: int


def split_of(seed: int) -> Checked:
    """The network of a seed, split into a small arena at 8 bits, with stock TFLM's bytes.

    Raises:
      VerificationError: a byte differs from stock TFLM.
    """
    model = random_network(seed)
    file = canonical(ModelFile(model))
    found = plan_stages(file.graph, max_slowdown=_MAX_SLOWDOWN)
    plan = PrecisionPlan(file.sha256, {}, stages=found.best.plans(file.graph) if found.best else ())
    converted = convert_model(file, plan)
    samples = random_inputs([file.graph.tensors[t] for t in file.graph.inputs], 2, seed=seed)
    assert verify_conversion(file, converted, plan, samples).is_same_function
    return Checked(seed, model, converted, len(plan.stages), 0)


def wide_split_of(seed: int) -> Checked:
    """The network of a seed in stages of several inputs where it has any; as of `split_of`."""
    model = random_network(seed)
    file = canonical(ModelFile(model))
    plan = wide_plan(file.graph, seed)
    converted = convert_model(file, plan)
    samples = random_inputs([file.graph.tensors[t] for t in file.graph.inputs], 2, seed=seed)
    assert verify_conversion(file, converted, plan, samples).is_same_function
    return Checked(seed, model, converted, len(plan.stages), 0)


def check_on_tflm(seed: int) -> Checked:
    """`split_of`, and the network at widths below 8 bits, every map of which TFLM and the oracle give alike.

    Raises:
      VerificationError: a byte differs from stock TFLM, or from the oracle.
    """
    found = split_of(seed)
    graph = ModelFile(found.model).graph
    (x,) = random_inputs([graph.tensors[t] for t in graph.inputs], 4, seed=seed)
    widths = {"activation_bits": (4, 2)[seed % 2], "weight_bits": (8, 4, 2)[seed % 3]}
    result = qm.convert(
        found.model, calibration_data=x, search="uniform", compensation="off", progress=False, n_jobs=1, **widths
    )
    return dataclasses.replace(found, num_maps=result.report.verification.num_maps)
