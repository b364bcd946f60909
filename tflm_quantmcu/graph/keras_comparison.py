"""How an int8 model compares with the Keras model it was made of, in figures, and when they are worth a warning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tflm_quantmcu.base.fields import parse_json, read_as

# Below it the noise of 8 bits is a third of what tells one sample from another. Trained networks have 20 dB and more;
# with inputs in another range than in training they fall below 0 dB.
MIN_SQNR_DB = 10.0
# Trained classifiers keep 95 % and more of their decisions at 8 bits.
MIN_AGREEMENT = 0.9
# Ranges are taken from the samples themselves: more than a stray value clips only where others were meant.
MAX_SATURATED_SHARE = 0.01
# Spread of values as they reach a batch normalisation, beside that in training. Trained networks have 0.8 to 1.5;
# images in 0..1 for 0..255 have 0.004.
MAX_SPREAD_RATIO = 4.0
# Fewer samples may well be of one class, or alike.
MIN_DISTINCT_SAMPLES = 16


@dataclasses.dataclass(frozen=True)
class OutputComparison:
    """One output, over the compared samples.

    Attributes:
      name: as Keras calls it.
      sqnr_db: power of the Keras output around its mean over the samples, by that of the int8 error, in dB, at most
        200; None where the Keras output is the same for all samples or there is one sample.
      agreement: share of samples whose largest value is at the same place, of integers without a scale the share of
        equal ones; None for outputs of fewer than 2 values.
      num_classes: how many places that is in the Keras output over all samples, of `num_values`.
      num_values: of one sample.
      is_constant: the int8 output is the same for all samples.
    """

    name: str
    sqnr_db: float | None
    agreement: float | None
    num_classes: int
    num_values: int
    is_constant: bool


@dataclasses.dataclass(frozen=True)
class Spread:
    """Values that reach a trained batch normalisation, beside those it saw in training.

    Attributes:
      layer: its name.
      ratio: standard deviation over the samples by that of training, the median over the channels.
    """

    layer: str
    ratio: float


@dataclasses.dataclass(frozen=True)
class KerasComparison:
    """Compared on calibration samples.

    Attributes:
      num_samples: that both models ran.
      outputs: in the int8 model's order.
      data_range: smallest and largest value of the samples.
      input_range: what the int8 input holds.
      saturated_share: of the samples' values, those outside `input_range`.
      spread: at the first trained batch normalisation, None without one.
    """

    num_samples: int
    outputs: Sequence[OutputComparison]
    data_range: tuple[float, float]
    input_range: tuple[float, float]
    saturated_share: float
    spread: Spread | None = None

    def as_dict(self) -> dict[str, Any]:
        """The attributes and the warnings, for JSON."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}

    @staticmethod
    def from_json(text: str) -> KerasComparison:
        """What `json.dumps` made of `as_dict`.

        Raises:
          UsageError: it is something else.
        """
        found = read_as(Mapping[str, Any], parse_json(text), "comparison")
        fields = {name: value for name, value in found.items() if name != "warnings"}
        comparison: KerasComparison = read_as(KerasComparison, fields, "comparison")
        return comparison

    @property
    def lines(self) -> list[str]:
        """Sentences for a report: the figures, then the warnings."""
        low, high = self.input_range
        figures = "; ".join(_describe(output) for output in self.outputs)
        return [
            f"int8 beside the Keras model on {self.num_samples} calibration samples: {figures}; "
            f"{self.saturated_share:.2%} of the input values beyond {low:.4g} to {high:.4g}",
            *(f"warning: {sentence}" for sentence in self.warnings),
        ]

    @property
    def warnings(self) -> list[str]:
        """One sentence of what is beyond the limits and its likely cause; empty where nothing is."""
        found = [*(s for output in self.outputs for s in self._symptoms(output)), *self._input_symptoms()]
        return [f"{'; '.join(found)}. Likely cause: {self._cause()}"] if found else []

    def _symptoms(self, output: OutputComparison) -> list[str]:
        found = []
        has_many = self.num_samples >= MIN_DISTINCT_SAMPLES
        if output.sqnr_db is not None and output.sqnr_db < MIN_SQNR_DB:
            found.append(f"output '{output.name}' has an SQNR of {output.sqnr_db:.1f} dB (below {MIN_SQNR_DB:.0f})")
        if output.agreement is not None and output.agreement < MIN_AGREEMENT:
            found.append(
                f"output '{output.name}' decides as Keras on {output.agreement:.1%} of the samples "
                f"(below {MIN_AGREEMENT:.0%})"
            )
        if has_many and output.is_constant:
            found.append(f"output '{output.name}' is the same for all {self.num_samples} samples")
        if has_many and output.num_values > 2 and output.num_classes == 1:
            found.append(f"the Keras model itself gives all {self.num_samples} samples one class of '{output.name}'")
        return found

    def _input_symptoms(self) -> list[str]:
        found = []
        if self.saturated_share > MAX_SATURATED_SHARE:
            found.append(f"{self.saturated_share:.1%} of the input values clip (above {MAX_SATURATED_SHARE:.0%})")
        if self.spread is not None and self._is_other_range:
            found.append(
                f"the values that reach '{self.spread.layer}' vary {self.spread.ratio:.3g} times as much as in training"
            )
        return found

    @property
    def _is_other_range(self) -> bool:
        return self.spread is not None and not 1 / MAX_SPREAD_RATIO <= self.spread.ratio <= MAX_SPREAD_RATIO

    def _cause(self) -> str:
        low, high = self.data_range
        given = f"the calibration data reach from {low:.4g} to {high:.4g}"
        if self._is_other_range:
            return (
                f"the range of preprocessing: {given}; give them as the model was trained, or the weights belong to "
                "other data"
            )
        if self.saturated_share > MAX_SATURATED_SHARE:
            return f"a range that was chosen without them: {given}; use more samples or another --calibration_method"
        if any(o.is_constant or (o.num_classes == 1 and o.num_values > 2) for o in self.outputs):
            return f"the range of preprocessing ({given}), samples that are all alike, or weights that are not trained"
        return (
            "weights that are not trained, or maps whose ranges 8 bits cannot hold: outliers among the calibration "
            f"data ({given}), or too few of them"
        )


def _describe(output: OutputComparison) -> str:
    agreement = [] if output.agreement is None else [f"{output.agreement:.1%} of the decisions agree"]
    sqnr = [] if output.sqnr_db is None else [f"SQNR {output.sqnr_db:.1f} dB"]
    constant = ["constant"] if output.is_constant else []
    return f"'{output.name}' " + (", ".join([*agreement, *sqnr, *constant]) or "has nothing to compare")
