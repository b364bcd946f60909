"""Widths that the user sets by hand, by tensor or layer name, whatever the search finds.

In: a YAML file, a list of `{match: REGEX, activation_bits: B, weight_bits: B}`. Out: widths by tensor name, and plans
changed by them. REGEX is for the whole name of a tensor, or of a Keras layer as plan.json shows it; of several rules
for one tensor the last one counts. Refuses rules that match nothing.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import yaml

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.fields import read_as, require_depth
from tflm_quantmcu.base.files import read_bytes
from tflm_quantmcu.base.text import sentence, shown
from tflm_quantmcu.calibration.outliers import rule_in
from tflm_quantmcu.graph.layer_names import layer_names
from tflm_quantmcu.graph.precision_plan import PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format, ModelGraph
from tflm_quantmcu.search.widths import free_maps, free_weights, weighted_ops
from tflm_quantmcu.stage.geometry import planned_ops

_FLAG = "--precision_overrides"


@dataclasses.dataclass(frozen=True)
class FixedWidths:
    """Widths that a search has to keep.

    Attributes:
      activation_bits: feature map -> bits.
      weight_bits: weight tensor -> bits.
      notes: sentences about tensors that stay at 8 bits although a rule matched.
      rules: as in the file.
    """

    activation_bits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    weight_bits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rules: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class _Rule:
    """An entry of the file."""

    match: str
    activation_bits: int | None = None
    weight_bits: int | None = None


def read_overrides(source: str | os.PathLike[str] | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules of a YAML file, or of a list in the same form.

    Raises:
      UsageError: no such file, no YAML, or something else than a list of rules with known keys and widths.
    """
    if isinstance(source, (str, os.PathLike)):
        try:
            source = yaml.safe_load(read_bytes(source, _FLAG).decode("utf-8"))
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
            raise UsageError(f"{_FLAG} {source} is not YAML: {sentence(error)}") from None
    if not isinstance(source, list):
        raise UsageError(
            f"{_FLAG} holds a {type(source).__name__}; needed is a list of {{match, activation_bits, ...}}"
        )
    try:
        require_depth(source)
        return [_checked(rule) for rule in source]
    except UsageError as error:
        raise UsageError(f"{_FLAG}: {error}") from None


def _checked(rule: Any) -> dict[str, Any]:
    if not isinstance(rule, dict) or not {"match"} < set(rule) <= {"match", "activation_bits", "weight_bits"}:
        raise UsageError(f"the rule {shown(rule)} is not of the form match and activation_bits or weight_bits or both")
    # YAML reads names such as 1 or true as what they look like.
    is_plain = isinstance(rule["match"], (int, float))
    read = read_as(_Rule, {**rule, "match": str(rule["match"])} if is_plain else rule, "a rule")
    widths = {key: getattr(read, key) for key in ("activation_bits", "weight_bits") if key in rule}
    for key, bits in widths.items():
        if bits not in BIT_WIDTHS:
            raise UsageError(f"{shown(read.match)} has {key} {bits}; supported are 8, 4 and 2")
    try:
        re.compile(read.match)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{shown(read.match)} is not a regular expression: {error}") from None
    return {"match": read.match, **widths}


def fixed_widths(graph: ModelGraph, rules: Sequence[Mapping[str, Any]]) -> FixedWidths:
    """The widths that rules set in a model.

    Raises:
      UsageError: a rule matches no feature map, or no weights, that it sets a width of.
    """
    layers = layer_names(graph)
    maps = [t.name for t in graph.tensors if not t.is_constant and t.dtype == "int8" and len(t.scales) == 1]
    weights = [graph.tensors[op.inputs[1]].name for op in weighted_ops(graph)]
    activation_bits = _matches(rules, "activation_bits", maps, layers, "feature map of int8")
    weight_bits = _matches(rules, "weight_bits", weights, layers, "weights")
    able = {*free_maps(graph), *free_weights(graph, "none")}
    unable = [n for n, bits in {**activation_bits, **weight_bits}.items() if bits < 8 and n not in able]
    return FixedWidths(
        {name: bits for name, bits in activation_bits.items() if name not in unable},
        {name: bits for name, bits in weight_bits.items() if name not in unable},
        tuple(f"'{name}' stays at 8 bits: no QMCU_ kernel writes or reads it" for name in unable),
        rules,
    )


def _matches(
    rules: Sequence[Mapping[str, Any]], key: str, names: Sequence[str], layers: Mapping[str, str], what: str
) -> dict[str, int]:
    found: dict[str, int] = {}
    for rule in rules:
        if key in rule:
            pattern = re.compile(rule["match"])
            matched = [n for n in names if pattern.fullmatch(n) or pattern.fullmatch(layers.get(n, n))]
            if not matched:
                raise UsageError(
                    f"{_FLAG}: '{rule['match']}' is the whole name of no tensor or layer with {what}; plan.json and "
                    "inspect show the names"
                )
            found |= dict.fromkeys(matched, rule[key])
    return found


def override_plan(
    graph: ModelGraph, plan: PrecisionPlan, fixed: FixedWidths, format_of: Callable[[str, int], Format]
) -> PrecisionPlan:
    """The plan with these widths; inside a stage they hold for all patches but those of the class `outlier`,
    and for those too where tiles of both classes may share what is kept.

    Args:
      graph: the model.
      plan: of any origin.
      fixed: of the same model.
      format_of: tensor name and bits -> format.
    """
    if not fixed.rules:
        return plan
    stages, inside = [], set()
    for stage in plan.stages:
        if not {*stage.inputs, stage.output} <= graph.by_name.keys():
            stages.append(stage)  # the converter refuses it
            continue
        inner = {graph.tensors[op.outputs[0]].name for op in planned_ops(graph, stage)} - {stage.output}
        inside |= inner
        stages.append(_override_stage(stage, {n: b for n, b in fixed.activation_bits.items() if n in inner}, format_of))
    outside = {n: b for n, b in fixed.activation_bits.items() if n not in inside}
    weight_bits = {**plan.weight_bits, **fixed.weight_bits}
    formats = _override_formats(plan.formats, outside, format_of)
    return dataclasses.replace(
        plan,
        search={**plan.search, "overrides": [dict(rule) for rule in fixed.rules]},
        stages=tuple(_with_rule(graph, stage, plan.formats, formats) for stage in stages),
        formats=formats,
        weight_bits={name: bits for name, bits in weight_bits.items() if bits < 8},
        notes=(*plan.notes, *(note for note in fixed.notes if note not in plan.notes)),
    )


def _override_stage(stage: StagePlan, bits: Mapping[str, int], format_of: Callable[[str, int], Format]) -> StagePlan:
    """What may be kept between tiles has one format for all classes, so there outliers follow too."""
    if not bits:
        return stage
    shared = {n: b for n, b in bits.items() if stage.map_caches.get(n, stage.cache_mode) != "recompute"}
    classes = [
        dataclasses.replace(c, formats=_override_formats(c.formats, shared, format_of))
        if c.name == "outlier" and len(stage.classes) > 1
        else dataclasses.replace(c, name="ordinary", formats=_override_formats(c.formats, bits, format_of))
        for c in stage.classes
    ]
    return dataclasses.replace(stage, classes=tuple(classes))


def _with_rule(graph: ModelGraph, stage: StagePlan, old: Mapping[str, Format], new: Mapping[str, Format]) -> StagePlan:
    """The stage with its outlier rule in the steps of its input's new format."""
    if stage.outliers is None or old.get(stage.input) == new.get(stage.input):
        return stage
    own = graph.by_name[stage.input].format
    rule = rule_in(stage.outliers, old.get(stage.input, own), new.get(stage.input, own))
    return dataclasses.replace(stage, outliers=rule)


def _override_formats(
    formats: Mapping[str, Format], bits: Mapping[str, int], format_of: Callable[[str, int], Format]
) -> dict[str, Format]:
    kept = {name: f for name, f in formats.items() if bits.get(name, f.bits) == f.bits}
    return kept | {name: format_of(name, b) for name, b in bits.items() if b < 8 and name not in kept}
