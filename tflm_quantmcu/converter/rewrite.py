"""A model under conversion: the one mutable thing that passes work on."""

from __future__ import annotations

from collections.abc import Callable

from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import WORST_CORE, Target
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_builder import ModelBuilder


class Rewrite(ModelBuilder):
    """A model under conversion.

    `graph` stays the model as read, and tensors are only added, so its indices hold in every pass but the last.

    Attributes:
      model: the file's object tree, changed by passes.
      graph: as read.
      network: it, as our kernels see it.
      plan: what to do.
      slots: for each op of `graph` the operators that stand in its place now.
      strip_metadata: leave out all that the device does not need.
      target: whose arena is to be small.
      keeps_stock_ops: what stays at 8 bits outside of stages stays a stock op.
      fits: whether a converted model's arena meets the bound; None: there is none.
    """

    def __init__(
        self,
        model: schema.ModelT,
        graph: ModelGraph,
        plan: PrecisionPlan,
        *,
        strip_metadata: bool,
        target: Target = WORST_CORE,
        keeps_stock_ops: bool = False,
        fits: Callable[[ModelGraph], bool] | None = None,
    ) -> None:
        super().__init__(model)
        self.graph = graph
        self.network = LoweredNetwork.of(graph)
        self.plan = plan
        self.slots = [[operator] for operator in self.subgraph.operators or ()]
        self.strip_metadata = strip_metadata
        self.target = target
        self.keeps_stock_ops = keeps_stock_ops
        self.fits = fits
        for tensor, read in zip(self.subgraph.tensors, graph.tensors, strict=True):
            tensor.name = read.name  # unique, so that the plan's names hold in the new file too

    def is_untouched(self, op: int) -> bool:
        """Whether the model's own operator still stands alone in its slot."""
        return self.slots[op] == [self.subgraph.operators[op]]

    def format_of(self, tensor: int) -> Format:
        """The format of an int8 feature map outside stages: the plan's, else the model's."""
        read = self.graph.tensors[tensor]
        return self.plan.formats.get(read.name, read.format)

    def is_reformatted(self, tensor: int) -> bool:
        """Whether the plan gives the tensor another format than the model's."""
        read = self.graph.tensors[tensor]
        return read.name in self.plan.formats and self.plan.formats[read.name] != read.format
