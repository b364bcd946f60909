"""The central types: a model as read, a plan as decided. Everything else is a function between them."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.errors import UsageError
from tflm_quantmcu.json_text import readable_json

BIT_WIDTHS = (8, 4, 2)
COMPENSATIONS = ("weights", "bias", "off")
PINNED_LAYERS = ("none", "first", "last", "both")
PLAN_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Format:
    """How a feature map is stored: real value = (q - zero_point) * scale, q signed of `bits` bits (law A9).

    Attributes:
      bits: 8, 4 or 2.
      scale: real value of one step, > 0; a float32 value.
      zero_point: the q of real 0, within the width's range.
    """

    bits: int
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if self.bits not in BIT_WIDTHS:
            raise UsageError(f"feature map width is {self.bits} bits; supported are 8, 4 and 2")
        if not self.scale > 0 or not np.isfinite(self.scale):
            raise UsageError(f"scale is {self.scale}; it must be a positive number")
        if not self.qmin <= self.zero_point <= self.qmax:
            raise UsageError(f"zero point {self.zero_point} does not fit {self.bits} bits")

    @property
    def qmin(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def qmax(self) -> int:
        return (1 << (self.bits - 1)) - 1


@dataclasses.dataclass(frozen=True)
class Window:
    """The sliding window of a convolution or pool; pads are explicit (law A3), bottom and right follow from the
    output."""

    kernel_height: int = 1
    kernel_width: int = 1
    stride_height: int = 1
    stride_width: int = 1
    dilation_height: int = 1
    dilation_width: int = 1
    pad_top: int = 0
    pad_left: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a model.

    Attributes:
      index: T# in the `.tflite`.
      name: unique within the graph (the reader appends `#index` to repeated names).
      shape: static shape.
      dtype: lower-case numpy name: int8, uint8, int32, float32, ...
      scales: float32 values; empty when not quantised, one when per tensor, one a channel when per channel.
      zero_points: as many as scales.
      quantized_dimension: channel axis of per-channel scales.
      data: the constant's values with `shape`, or None for a feature map.
      is_variable: keeps its values from one inference to the next.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    data: np.ndarray | None = None
    is_variable: bool = False

    @property
    def label(self) -> str:
        """The name for messages: of a fused op's joined names the first."""
        return self.name.split(";")[0]

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def num_elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def num_bytes(self) -> int:
        return self.num_elements * np.dtype(self.dtype).itemsize

    @property
    def format(self) -> Format:
        """The 8-bit format of an int8 feature map."""
        return Format(8, self.scales[0], self.zero_points[0])


@dataclasses.dataclass(frozen=True)
class Op:
    """One operator.

    Attributes:
      index: position in execution order.
      kind: builtin operator name (CONV_2D, ADD, ...) or the custom code of a custom op.
      inputs: tensor indices, -1 for an omitted optional input.
      outputs: tensor indices.
      window: of convolutions and pools, SAME/VALID resolved to explicit pads; else None.
      activation: NONE, RELU, RELU_N1_TO_1 or RELU6, fused into the op.
      depth_multiplier: of a depthwise convolution; else 1.
      pads: of PAD/PADV2: ((before, after), ...) a dimension; else ().
      axis: of CONCATENATION, may count from the end; else 0.
      beta: of SOFTMAX, a float32 value; else 1.
      alpha: of LEAKY_RELU, a float32 value; else 0.
      align_corners, half_pixel_centers: of resizes; else False.
      custom_options: a custom op's own bytes, a FlexBuffer map for ours (docs/format.md F3); else empty.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    window: Window | None = None
    activation: str = "NONE"
    depth_multiplier: int = 1
    pads: tuple[tuple[int, int], ...] = ()
    axis: int = 0
    beta: float = 1.0
    alpha: float = 0.0
    align_corners: bool = False
    half_pixel_centers: bool = False
    custom_options: bytes = b""


@dataclasses.dataclass(frozen=True, eq=False)
class ModelGraph:
    """The one subgraph of a model, as read.

    Attributes:
      tensors: by index.
      ops: in execution order.
      inputs, outputs: tensor indices.
      sha256: hex digest of the model file's bytes.
      offline_offsets: arena offset a tensor, -1 where TFLM's planner chooses, of the file's
        OfflineMemoryAllocation; None if
        the file has none.
      streamed_input: what a reader gives to a model without inputs, a tensor that is not among `tensors`; else None.
    """

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sha256: str
    offline_offsets: tuple[int, ...] | None = None
    streamed_input: Tensor | None = None

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """What the model is given: its inputs, or the one that is streamed."""
        if self.streamed_input is not None:
            return (self.streamed_input,)
        return tuple(self.tensors[t] for t in self.inputs)

    @functools.cached_property
    def producer(self) -> Mapping[int, Op]:
        """Tensor index -> the op that writes it."""
        return {t: op for op in self.ops for t in op.outputs}

    @functools.cached_property
    def consumers(self) -> Mapping[int, tuple[Op, ...]]:
        """Tensor index -> the ops that read it, in execution order."""
        readers: dict[int, list[Op]] = {t.index: [] for t in self.tensors}
        for op in self.ops:
            for t in dict.fromkeys(op.inputs):
                if t >= 0:
                    readers[t].append(op)
        return {t: tuple(ops) for t, ops in readers.items()}

    @functools.cached_property
    def by_name(self) -> Mapping[str, Tensor]:
        return {t.name: t for t in self.tensors}

    def feature_maps(self, op: Op) -> tuple[int, ...]:
        """The op's non-constant inputs, in order, repeats kept."""
        return tuple(t for t in op.inputs if t >= 0 and not self.tensors[t].is_constant)


@dataclasses.dataclass(frozen=True)
class PatchClass:
    """One class of patches of a stage.

    Attributes:
      name: `outlier` (every map keeps the model's 8-bit format) or `ordinary`.
      formats: tensor name -> format, for the maps whose format is not the model's own.
      bias_corrections: see `PrecisionPlan`; of the stage's ops in patches of this class.
    """

    name: str
    formats: Mapping[str, Format]
    bias_corrections: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RoundedWeights:
    """Weights below 8 bits that are not the model's own rounded to the nearest (law A9).

    Attributes:
      bits: 4 or 2; they count where the plan gives the weights this width.
      scales: float32 values, one an output channel.
      values: int8, in the order that a `.tflite` keeps them, within the width's range.
    """

    bits: int
    scales: tuple[float, ...]
    values: bytes

    def to_fields(self) -> dict[str, Any]:
        """What stands in the plan's file: values as base64 of zlib."""
        packed = base64.b64encode(zlib.compress(self.values, 9)).decode()
        return {"bits": self.bits, "scales": list(self.scales), "values": packed}

    @staticmethod
    def from_fields(*, bits: int, scales: list[float], values: str) -> RoundedWeights:
        """Raises ValueError for values that are not of this form."""
        try:
            unpacked = zlib.decompress(base64.b64decode(values, validate=True))
        except zlib.error as error:
            raise ValueError(f"rounded weights are no zlib data: {error}") from None
        return RoundedWeights(bits, tuple(float(scale) for scale in scales), unpacked)


CHOSEN_AT_RUN_TIME = -1


@dataclasses.dataclass(frozen=True)
class OutlierRule:
    """How a patch's class is chosen at run time (VDPC): 0 if it holds outliers, else 1.

    Attributes:
      low, high: values of the stage's input outside of [low, high] are outliers; steps of its format.
      share: a patch holds outliers if more than share / 2^16 of its values are some.
    """

    low: int
    high: int
    share: int

    def __post_init__(self) -> None:
        if not (-128 <= self.low <= 127 and -128 <= self.high <= 127 and 0 <= self.share <= 1 << 16):
            raise UsageError(f"the outlier rule {self} has values outside int8 or a share outside 0 to {1 << 16}")


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """A patch stage: the ops between two tensors, run tile by tile.

    Attributes:
      input, output: tensor names; the stage is every op on a path between them.
      tile_height, tile_width: of the output, in pixels.
      patch_classes: rows x cols class indices, row-major; CHOSEN_AT_RUN_TIME where `outliers` decides.
      classes: what the indices mean.
      cache_mode: what inner maps keep for the tiles that follow: `recompute` nothing, `rows` the columns that the next
        tile of the row reads again, `full` the rows for the next row of tiles too.
      map_caches: tensor name -> cache mode, for the maps whose mode is not the stage's.
      primed: tiles before the first one bring cached maps on their way, so that none starts with all it looks ahead.
      input_mode: `resident`, the input stands whole in memory, or `streamed`, tiles pull their regions from a reader.
      vdpc: `static`, `dynamic`, or `off` when there is one class and no classification.
      outliers: the rule of dynamic VDPC, else None.
    """

    input: str
    output: str
    tile_height: int
    tile_width: int
    patch_classes: tuple[tuple[int, ...], ...]
    classes: tuple[PatchClass, ...]
    cache_mode: str = "recompute"
    map_caches: Mapping[str, str] = dataclasses.field(default_factory=dict)
    primed: bool = False
    input_mode: str = "resident"
    vdpc: str = "off"
    outliers: OutlierRule | None = None


@dataclasses.dataclass(frozen=True)
class PrecisionPlan:
    """All that the converter needs beside the model.

    Attributes:
      model_sha256: the model that the plan was made for.
      search: provenance: `method`, its parameters, seed, the calibration's SHA-256, scores.
      stages: patch stages; none when splitting was refused.
      formats: tensor name -> format, for feature maps outside stages that are not 8-bit.
      weight_bits: weight tensor name -> bits, for those that are not 8-bit.
      rounded_weights: weight tensor name -> how they are rounded, where that is not to the nearest.
      bias_corrections: tensor name -> real value a channel that the convolution or fully connected op that writes it
        adds to its bias, outside stages.
      notes: sentences for the user: refusals, maps kept at 8 bits and why.
      layers: tensor name -> Keras layer name, for who reads the file; nothing is decided by them.
    """

    model_sha256: str
    search: Mapping[str, Any]
    stages: tuple[StagePlan, ...] = ()
    formats: Mapping[str, Format] = dataclasses.field(default_factory=dict)
    weight_bits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rounded_weights: Mapping[str, RoundedWeights] = dataclasses.field(default_factory=dict)
    bias_corrections: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    layers: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def streamed_input(self) -> str | None:
        """Name of the tensor that a reader gives to the first stage, if it is streamed."""
        return next((stage.input for stage in self.stages if stage.input_mode == "streamed"), None)

    def to_json(self, *, compact: bool = False) -> str:
        """The plan's file, for people; `compact` is the copy in a converted model: one line without layers' names, the
        search's scores, and what the model holds itself, rounded weights and bias corrections."""
        fields = {"version": PLAN_VERSION, **dataclasses.asdict(self)}
        layers = fields.pop("layers")
        if compact:
            fields["search"].pop("scores", None)
        rounded = {name: weights.to_fields() for name, weights in self.rounded_weights.items()}
        _keep_numbers(fields, "rounded_weights", {} if compact else rounded)
        for corrected in (fields, *(c for stage in fields["stages"] for c in stage["classes"])):
            _keep_numbers(corrected, "bias_corrections", {} if compact else corrected["bias_corrections"])
        if compact:
            return json.dumps(fields, separators=(",", ":"))
        fields["formats"] = _with_layers(fields["formats"], layers)
        fields["weight_bits"] = _with_layers({n: {"bits": b} for n, b in self.weight_bits.items()}, layers)
        for stage in fields["stages"]:
            for patch_class in stage["classes"]:
                patch_class["formats"] = _with_layers(patch_class["formats"], layers)
        return readable_json(fields) + "\n"

    @staticmethod
    def from_json(text: str) -> PrecisionPlan:
        """Reads what `to_json` wrote, or a person; weights may have their bits alone.

        Raises:
          UsageError: not JSON, another version, or a missing, unknown or ill-typed field.
        """
        layers: dict[str, str] = {}
        try:
            fields = json.loads(text)
            version = fields.pop("version")
            if version != PLAN_VERSION:
                raise UsageError(f"the plan has version {version}; supported is {PLAN_VERSION}")
            stages = tuple(_stage_from(s, layers) for s in fields.pop("stages"))
            formats = _formats_from(fields.pop("formats"), layers)
            weights = {n: b if isinstance(b, dict) else {"bits": b} for n, b in fields.pop("weight_bits").items()}
            return PrecisionPlan(
                stages=stages,
                formats=formats,
                weight_bits={name: _bits(**_without_layer(name, w, layers)) for name, w in weights.items()},
                rounded_weights={
                    name: RoundedWeights.from_fields(**w) for name, w in fields.pop("rounded_weights", {}).items()
                },
                bias_corrections=_corrections_from(fields),
                notes=tuple(fields.pop("notes")),
                layers=layers,
                **fields,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"the plan cannot be read: {error!r}; write it anew with `plan`") from None


def _keep_numbers(fields: dict[str, Any], key: str, numbers: Mapping[str, Any]) -> None:
    """An entry of the file that is left out where it is empty."""
    del fields[key]
    if numbers:
        fields[key] = numbers


def _corrections_from(fields: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    corrections = fields.pop("bias_corrections", {})
    return {name: tuple(float(value) for value in values) for name, values in corrections.items()}


def _with_layers(entries: Mapping[str, dict[str, Any]], layers: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {**entry, **({"layer": layers[name]} if name in layers else {})} for name, entry in entries.items()}


def _without_layer(name: str, entry: Mapping[str, Any], layers: dict[str, str]) -> dict[str, Any]:
    """The entry without its layer's name, which goes to `layers`."""
    if "layer" in entry:
        layers[name] = entry["layer"]
    return {key: value for key, value in entry.items() if key != "layer"}


def _bits(*, bits: int) -> int:
    return bits


def _formats_from(fields: Mapping[str, Mapping[str, Any]], layers: dict[str, str]) -> dict[str, Format]:
    return {name: Format(**_without_layer(name, f, layers)) for name, f in fields.items()}


def _stage_from(fields: dict[str, Any], layers: dict[str, str]) -> StagePlan:
    classes = tuple(
        PatchClass(c["name"], _formats_from(c["formats"], layers), _corrections_from(c)) for c in fields.pop("classes")
    )
    grid = tuple(tuple(int(k) for k in row) for row in fields.pop("patch_classes"))
    rule = fields.pop("outliers", None)
    return StagePlan(classes=classes, patch_classes=grid, outliers=rule and OutlierRule(**rule), **fields)


@dataclasses.dataclass(frozen=True)
class Budget:
    """Bounds of the device and on the work of one inference; None is no bound.

    Attributes:
      sram_bytes: of the non-persistent arena: feature maps and scratch.
      flash_bytes: of the `.tflite`.
      bit_ops: MACs x input bits x weight bits.
      instructions: of our kernels, estimated from the table of a core.
    """

    sram_bytes: int | None = None
    flash_bytes: int | None = None
    bit_ops: int | None = None
    instructions: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.flags.items():
            if value is not None and value <= 0:
                raise UsageError(f"--{name} is {value}; it must be a positive number")

    @property
    def flags(self) -> dict[str, int | None]:
        """The bounds by the names of their flags."""
        return {
            "sram_bytes": self.sram_bytes,
            "flash_bytes": self.flash_bytes,
            "max_bit_ops": self.bit_ops,
            "max_instructions": self.instructions,
        }


CALIBRATION_METHODS = ("own", "minmax", "percentile", "mse", "uspiq")


@dataclasses.dataclass(frozen=True)
class CalibrationMethod:
    """How ranges of feature maps are chosen from what calibration saw (law A9).

    Attributes:
      name: `own` leaves 8-bit maps as the model has them; the others choose them anew. One of CALIBRATION_METHODS.
      percentile: of method `percentile`: the share of values, in percent, beyond which either end is clipped.
    """

    name: str = "own"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if self.name not in CALIBRATION_METHODS:
            raise UsageError(f"--calibration_method is {self.name}; supported are {', '.join(CALIBRATION_METHODS)}")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"--calibration_percentile is {self.percentile}; it must be above 50 and at most 100")

    @property
    def flags(self) -> dict[str, str | float]:
        """The flags that decide anything, by name."""
        percentile = {"calibration_percentile": self.percentile} if self.name == "percentile" else {}
        return {"calibration_method": self.name, **percentile}

    @staticmethod
    def of_flags(flags: Mapping[str, Any]) -> CalibrationMethod:
        """What `flags` names among others, with defaults for what it does not."""
        fields = {"name": "calibration_method", "percentile": "calibration_percentile"}
        return CalibrationMethod(**{field: flags[flag] for field, flag in fields.items() if flag in flags})


OWN_FORMATS = CalibrationMethod()


@dataclasses.dataclass(frozen=True, eq=False)
class TensorStats:
    """What calibration saw of one int8 feature map, over all samples.

    Attributes:
      name: tensor name.
      histogram: int64 [256], count of each q from -128 to 127: lossless, so every statistic follows from it.
      format: the map's 8-bit format.
      outliers: float32 [len(PHIS), H, W], mean share of the values at each position that are beyond z(phi) standard
        deviations of the map's fitted Gaussian; None for maps that are not [1, H, W, C].
      method: how its formats below 8 bits are chosen.
    """

    name: str
    histogram: np.ndarray
    format: Format
    outliers: np.ndarray | None = None
    method: CalibrationMethod = OWN_FORMATS


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Calibration of one model.

    Attributes:
      model_sha256: the int8 `.tflite` that was measured.
      model: that file's bytes when calibration made it, of a Keras model or with new 8-bit formats; else None.
      samples: the model's own inputs [N, ...], in the model's input type.
      stats: tensor name -> stats.
      method: how ranges are chosen.
      source_sha256: the int8 `.tflite` that new 8-bit formats were given to; else None.
    """

    model_sha256: str
    model: bytes | None
    samples: np.ndarray
    stats: Mapping[str, TensorStats]
    method: CalibrationMethod = OWN_FORMATS
    source_sha256: str | None = None
