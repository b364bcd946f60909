"""Gives the plan's feature maps their formats, and changes format where a stock op or the model's end meets them."""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.layer_names import PACKED_SUFFIX
from tflm_quantmcu.graph.types import Op, Tensor
from tflm_quantmcu.tflite.model_builder import packed_shape
from tflm_quantmcu.tflite.operators import requantize


def insert_requantize(rewrite: Rewrite) -> None:
    """Where all around a map is ours, the tensor itself takes the plan's format; else a packed twin stands beside it.

    Raises:
      UnsupportedModelError: a change of format would be needed on a map of another rank than 4 or 2.
    """
    copies = [op for op in rewrite.graph.ops if _copies_bytes(rewrite, op)]
    ours = {op.index for op in rewrite.graph.ops if not rewrite.is_untouched(op.index)}
    ours |= {op.index for op in copies}
    for tensor in rewrite.graph.tensors:
        if rewrite.is_reformatted(tensor.index):
            sides = _Sides.of(rewrite, tensor, ours)
            if sides.has_stock:
                _split(rewrite, tensor, sides)
            else:
                rewrite.set_format(tensor.index, tensor.shape, rewrite.format_of(tensor.index))
    for op in copies:
        _set_target_shape(rewrite, op)


def _copies_bytes(rewrite: Rewrite, op: Op) -> bool:
    """Whether a reshape between two maps of one format leaves packed bytes as they are."""
    if not op.traits.is_reshape or not all(rewrite.is_reformatted(t) for t in (op.inputs[0], op.outputs[0])):
        return False
    source, output = (rewrite.graph.tensors[t] for t in (op.inputs[0], op.outputs[0]))
    format = rewrite.format_of(source.index)
    runs = {t.shape[-1] for t in (source, output)}
    has_no_gaps = all(channels * format.bits % 8 == 0 for channels in runs)
    return format == rewrite.format_of(output.index) and (len(runs) == 1 or has_no_gaps)


@dataclasses.dataclass(frozen=True)
class _Sides:
    """Who is around a map: slots of our operators that read it, of stock ones, and who writes it.

    Attributes:
      writer: slot; None for an input of the model.
      is_packed_first: our operator writes it.
      packed_readers, stock_readers: slots in execution order.
      is_end: it is an input or an output of the model.
    """

    writer: int | None
    is_packed_first: bool
    packed_readers: tuple[int, ...]
    stock_readers: tuple[int, ...]
    is_end: bool

    @staticmethod
    def of(rewrite: Rewrite, tensor: Tensor, ours: set[int]) -> _Sides:
        graph = rewrite.graph
        producer = graph.producer.get(tensor.index)
        readers = [
            i for i, slot in enumerate(rewrite.slots) if any(tensor.index in operator.inputs for operator in slot)
        ]
        return _Sides(
            writer=producer.index if producer else None,
            is_packed_first=producer is not None and producer.index in ours,
            packed_readers=tuple(i for i in readers if i in ours),
            stock_readers=tuple(i for i in readers if i not in ours),
            is_end=tensor.index in (*graph.inputs, *graph.outputs),
        )

    @property
    def has_stock(self) -> bool:
        return self.is_end or not self.is_packed_first or bool(self.stock_readers)


def _split(rewrite: Rewrite, tensor: Tensor, sides: _Sides) -> None:
    """Keeps the tensor at 8 bits for stock operators and adds a packed twin for ours, if there are any."""
    if not sides.is_packed_first and not sides.packed_readers:
        return
    if len(tensor.shape) not in (2, 4) or tensor.shape[0] != 1:
        raise UnsupportedModelError(
            f"'{tensor.label}' of shape {list(tensor.shape)} meets an op that has no QMCU_ kernel; a change of format "
            "is supported on [1, H, W, C] and [1, C]; keep that map at 8 bits"
        )
    own, chosen = tensor.format, rewrite.format_of(tensor.index)
    channels = tensor.shape[-1]
    packed = rewrite.add_map(tensor.name + PACKED_SUFFIX, tensor.shape, chosen)
    for slot in sides.packed_readers:
        for operator in rewrite.slots[slot]:
            operator.inputs = np.where(operator.inputs == tensor.index, packed, operator.inputs)
    if not sides.is_packed_first:
        operator = requantize(own, chosen, channels).operator(rewrite, tensor.name, [tensor.index], packed)
        if sides.writer is None:
            rewrite.slots[0].insert(0, operator)
        else:
            rewrite.slots[sides.writer].append(operator)
        return
    assert sides.writer is not None
    for operator in rewrite.slots[sides.writer]:
        operator.outputs = np.where(operator.outputs == tensor.index, packed, operator.outputs)
    operator = requantize(chosen, own, channels).operator(rewrite, tensor.name, [packed], tensor.index)
    # As late as possible: the 8-bit map is the larger one.
    if sides.stock_readers:
        rewrite.slots[sides.stock_readers[0]].insert(0, operator)
    else:
        rewrite.slots[-1].append(operator)


def _set_target_shape(rewrite: Rewrite, op: Op) -> None:
    """A RESHAPE says its output's shape twice more, beside the tensor's own."""
    if op.kind != "RESHAPE":
        return
    output = rewrite.graph.tensors[op.outputs[0]]
    shape = np.array(packed_shape(output.shape, rewrite.format_of(output.index).bits), np.int32)
    operator = rewrite.model.subgraphs[0].operators[op.index]
    if operator.builtinOptions is not None:
        operator.builtinOptions.newShape = shape
    if len(op.inputs) > 1:
        constant = rewrite.add_constant(f"{output.name}/shape", shape)
        operator.inputs = np.array([operator.inputs[0], constant], np.int32)
