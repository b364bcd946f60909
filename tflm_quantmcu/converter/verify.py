"""Proves on the real TFLM that a converted model computes what it must, and takes the memory that was promised.

In: the model before and after, the plan, samples. Out: VerificationResult. Where all widths are 8 bits, every output
byte must equal stock TFLM's, of a model with ops that it lacks those of the unsplit network with tables in their place;
where they are not, every feature map must equal the numpy oracle's, as far as it knows.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from tflm_quantmcu.arena.machine import HOST
from tflm_quantmcu.arena.persistent import Allocation, replay_allocation
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.base.errors import UnsupportedModelError, VerificationError
from tflm_quantmcu.graph.layer_names import PACKED_SUFFIX, layer_of, op_place
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import QUANTMCU, REFERENCE, STOCK_REFERENCE, WORST_CORE, Target
from tflm_quantmcu.graph.types import ModelGraph, Tensor
from tflm_quantmcu.graph.unset_pads import unset_pads_sentences
from tflm_quantmcu.law.packing import unpack
from tflm_quantmcu.oracle import stock_kernels
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.allocations import Allocations
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_inputs, to_model_input
from tflm_quantmcu.stage.custom_ops import PREFIX
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.missing_ops import missing_kinds, stand_ins
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile

NUM_RANDOM_SAMPLES = 4


@dataclasses.dataclass(frozen=True)
class VerificationResult:
    """The checks that a model has passed.

    Attributes:
      num_samples: inputs run, the random ones included.
      is_same_function: all widths are 8 bits, and all outputs equal those of the model it came from.
      num_maps: feature maps compared with the oracle, a sample.
      arena_by_variant: variant of our kernels -> non-persistent bytes, predicted and recorded on this host, with the
        scratch that it asks for; ops that stay TFLite's own ask for what the target's kernels do, or TFLM's reference
        kernels where they are CMSIS-NN's.
      missing: kinds of the model's ops that TFLM has no int8 kernel for: with others in their place is the original.
      output_crc32: of all outputs in order, to compare with another machine's.
      samples: of each input those that were given, [N, ...] of the model's type, or the random ones in their place.
    """

    num_samples: int
    is_same_function: bool
    num_maps: int
    arena_by_variant: Mapping[str, int]
    missing: tuple[str, ...]
    output_crc32: int
    samples: tuple[np.ndarray, ...] = dataclasses.field(repr=False, compare=False)

    @property
    def arena_bytes(self) -> int:
        """Bytes with this host's kernels, the reference."""
        return self.arena_by_variant[REFERENCE]

    @property
    def summary(self) -> str:
        """One sentence for the report."""
        others = "".join(f", {n:,} with {v} scratch" for v, n in self.arena_by_variant.items() if v != REFERENCE)
        found = (
            f"outputs equal {_reference(self.missing)} in every byte"
            if self.is_same_function
            else f"{self.num_maps} feature maps equal the numpy oracle in every byte"
        )
        return (
            f"{found} on {self.num_samples} inputs, recorded arena = predicted = {self.arena_bytes:,} bytes "
            f"on this host{others}, "
            f"CRC32 of the outputs {self.output_crc32:08x}"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Runs:
    """Samples and what the converted model made of them.

    Attributes:
      x: of each input of the original [N, ...].
      given: of each input of the converted model.
      outputs: [N][output].
    """

    x: tuple[np.ndarray, ...]
    given: tuple[np.ndarray, ...]
    outputs: Sequence[Sequence[np.ndarray]]


def verify_conversion(
    original: AnyModel,
    converted: AnyModel,
    plan: PrecisionPlan,
    samples: np.ndarray | Sequence[np.ndarray] | None = None,
    *,
    target: Target = WORST_CORE,
) -> VerificationResult:
    """Runs both models.

    Args:
      original: the int8 model; the oracle knows its canonical form, which a ModelFile must be of, stock TFLM runs the
        file that the user gave.
      converted: what `convert_model` made of it.
      plan: the same.
      samples: inputs [N, ...] of the model's type, or reals, of several inputs one array each; random ones without,
        as many as `NUM_RANDOM_SAMPLES`; so many others of these are added.
      target: whose non-persistent arena is recorded beside this host's.

    Raises:
      VerificationError: a byte differs, of values or of the arena; the sentence names the op, the sample and the first
        index.
      UsageError: the samples do not fit, or our op library is missing.
      UnsupportedModelError: outputs differ, and TFLM itself gives no certain ones.
    """
    file = original if isinstance(original, ModelFile) else canonical(ModelFile.of(original))
    graph = file.graph
    after = converted if isinstance(converted, ModelFile) else ModelFile.of(converted)
    variants = dict.fromkeys((REFERENCE, *target.variants))
    stock = QUANTMCU if target.stock_kernels == QUANTMCU else STOCK_REFERENCE  # TFLM's wheel has no others
    predicted = {variant: predict_arena(after.graph, variant, stock) for variant in variants}
    replayed = {variant: replay_allocation(after.graph, HOST, variant, stock) for variant in variants}
    inputs = [graph.tensors[t] for t in graph.inputs]
    if samples is None:
        x = random_inputs(inputs, 2 * NUM_RANDOM_SAMPLES)
        own = tuple(values[:NUM_RANDOM_SAMPLES] for values in x)
    else:
        own = _in_type((samples,) if isinstance(samples, np.ndarray) else samples, inputs)
        x = tuple(map(np.concatenate, zip(own, random_inputs(inputs, NUM_RANDOM_SAMPLES), strict=True)))
    interpreter = Interpreter(after)
    for variant in variants:
        recorded = Interpreter(after, kernel_variant=variant, stock_kernels=stock).allocations()
        _check_arena(recorded, variant, predicted[variant], replayed[variant])
    given = _given(graph, plan, x)
    runs = _Runs(x, given, [interpreter.invoke(sample) for sample in zip(*given, strict=True)])
    is_same_function = is_eight_bit(graph, plan)
    if is_same_function:
        num_maps = 0
        _check_outputs(file.origin, after, runs)
    else:
        num_maps = _check_maps(graph, after, plan, runs)
    crc32 = 0
    for values in (values for sample in runs.outputs for values in sample):
        crc32 = zlib.crc32(values.tobytes(), crc32)
    origin = file.origin
    missing = missing_kinds(origin) if any(op.traits.is_missing for op in origin.graph.ops) else ()
    return VerificationResult(len(x[0]), is_same_function, num_maps, predicted, missing, crc32, own)


def _in_type(samples: Sequence[np.ndarray], tensors: Sequence[Tensor]) -> tuple[np.ndarray, ...]:
    """Each input's samples in its type."""
    return tuple(
        values if _is_as_taken(values, tensor) else to_model_input(values, tensor)
        for values, tensor in zip(samples, tensors, strict=True)
    )


def _is_as_taken(values: np.ndarray, tensor: Tensor) -> bool:
    return values.dtype == tensor.dtype and values.shape[1:] == tensor.sample_shape


def _given(graph: ModelGraph, plan: PrecisionPlan, x: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """What the converted model is given for samples of the original: they, or what a QUANTIZE made of them."""
    streamed = plan.streamed_input
    writer = graph.producer.get(graph.by_name[streamed].index) if streamed else None
    if streamed is None or writer is None:
        return x
    values = stock_kernels.run(graph, writer, dict(zip(graph.inputs, x, strict=True)))
    assert values is not None
    return (values.reshape(len(x[0]), *graph.by_name[streamed].shape[1:]),)


def is_eight_bit(graph: ModelGraph, plan: PrecisionPlan) -> bool:
    """Whether a plan of the model changes no value: it only splits."""
    formats = [plan.formats, *(c.formats for s in plan.stages for c in s.classes)]
    has_own = all(format == graph.by_name[name].format for chosen in formats for name, format in chosen.items())
    return has_own and all(bits == 8 for bits in plan.weight_bits.values())


def _check_arena(recorded: Allocations, variant: str, predicted: int, replayed: Allocation) -> None:
    parts = [("non-persistent", predicted, recorded.non_persistent_bytes)]
    if replayed.is_exact:
        parts.append(("persistent", replayed.persistent.total, recorded.persistent_bytes))
    for part, expected, found in parts:
        if found != expected:
            raise VerificationError(
                f"TFLM recorded a {part} arena of {found:,} bytes with {variant} kernels; predicted were {expected:,}"
            )


def _reference(missing: Sequence[str]) -> str:
    """What outputs are compared with."""
    if not missing:
        return "stock TFLM"
    return f"the unsplit network with {stand_ins(missing)}, which stock TFLM does not run,"


def _check_outputs(before: ModelFile, after: ModelFile, runs: _Runs) -> None:
    stock = Interpreter(before)
    for index, sample in enumerate(zip(*runs.x, strict=True)):
        for tensor, wanted, found in zip(stock.outputs, stock.invoke(sample), runs.outputs[index], strict=True):
            if not _are_equal(wanted, found):
                if unset := unset_pads_sentences(before.graph):
                    raise UnsupportedModelError(f"TFLM gives no certain outputs of the model: {unset[0]}")
                _find_difference(before, after, runs, index)
                reference = _reference(missing_kinds(before))
                raise _mismatch(f"output '{tensor.label}'", index, reference, wanted, found)


def _find_difference(before: ModelFile, after: ModelFile, runs: _Runs, index: int) -> None:
    """Blames the first op, of those that both models have, whose result differs."""
    stock, ours = (Interpreter(file, preserve_all_tensors=True) for file in (before, after))
    for n in range(index + 1):  # all, for what variables keep
        stock.invoke([values[n] for values in runs.x])
        ours.invoke([values[n] for values in runs.given])
    for op in after.graph.ops:
        tensor = after.graph.tensors[op.outputs[0]]
        known = before.graph.by_name.get(tensor.name)
        if known is None:
            continue
        wanted, found = stock.tensor(known.index), ours.tensor(tensor.index)
        if not _are_equal(wanted, found):
            raise _mismatch(_place(after.graph, tensor), index, _reference(missing_kinds(before)), wanted, found)


def _check_maps(graph: ModelGraph, after: ModelFile, plan: PrecisionPlan, runs: _Runs) -> int:
    """Compares what TFLM computes for every map that the oracle knows; returns how many there are."""
    known = simulate(graph, plan, runs.x)
    stored = {name: stored_map(after.graph, name, plan) for name in known}
    compared = {name: tensor for name, tensor in stored.items() if tensor is not None}
    preserved = Interpreter(after, preserve_all_tensors=True)
    for index, sample in enumerate(zip(*runs.given, strict=True)):
        for output, wanted, found in zip(preserved.outputs, preserved.invoke(sample), runs.outputs[index], strict=True):
            if not _are_equal(wanted, found):
                raise _mismatch(f"output '{output.label}'", index, "TFLM without shared memory", wanted, found)
        for name, tensor in compared.items():
            found = map_values(preserved, graph.by_name[name], tensor, plan)
            if not _are_equal(known[name][index], found):
                raise _mismatch(_place(after.graph, tensor), index, "the numpy oracle", known[name][index], found)
    return len(compared)


def stored_map(graph: ModelGraph, name: str, plan: PrecisionPlan) -> Tensor | None:
    """The converted model's tensor that holds a map at the plan's format, if there is one."""
    tensor = graph.by_name.get(name + PACKED_SUFFIX, graph.by_name.get(name))
    if tensor is None or name not in plan.formats:
        return tensor
    around = [op for op in (graph.producer.get(tensor.index), *graph.consumers[tensor.index]) if op]
    # A map between stock ops alone stays as it was.
    return tensor if any(op.kind.startswith(PREFIX) for op in around) else None


def map_values(interpreter: Interpreter, before: Tensor, found: Tensor, plan: PrecisionPlan) -> np.ndarray:
    """What the latest run left of a map of the source model.

    Args:
      interpreter: of the converted model; it preserves tensors.
      before: the map, in the source model.
      found: the tensor that holds it in the converted model.
      plan: by which it was converted; it says how many bits a value of the map has.

    Returns:
      The values, unpacked, in the map's shape without the batch: int8, or the type of a map that stayed.
    """
    data = interpreter.tensor(found.index)
    if before.name in plan.formats:
        data = unpack(data, plan.formats[before.name].bits, before.shape[-1])
    return data.reshape(before.sample_shape)


def _place(graph: ModelGraph, tensor: Tensor) -> str:
    op = graph.producer.get(tensor.index)
    return op_place(graph, op) if op else f"input '{layer_of(graph, tensor)}'"


def _are_equal(wanted: np.ndarray, found: np.ndarray) -> bool:
    return wanted.dtype == found.dtype and wanted.tobytes() == found.tobytes()


def _mismatch(place: str, sample: int, reference: str, wanted: np.ndarray, found: np.ndarray) -> VerificationError:
    if wanted.dtype != found.dtype or wanted.size != found.size:
        what = f"{found.dtype}{list(found.shape)} instead of {wanted.dtype}{list(wanted.shape)}"
    else:
        # As bytes: of floats, 0 and -0 are equal numbers and NaN is none.
        rows = [v.reshape(-1, 1).view(np.uint8) for v in map(np.ascontiguousarray, (wanted, found))]
        differing = np.flatnonzero((rows[0] != rows[1]).any(axis=1))
        first = int(differing[0])
        what = (
            f"{differing.size} of {wanted.size} values, first at index {first}: "
            f"{found.flat[first]} instead of {wanted.flat[first]}"
        )
    return VerificationError(f"{place} differs from {reference} on sample {sample}: {what}")
