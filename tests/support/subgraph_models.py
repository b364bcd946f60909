"""Models that stock TFLM runs as a whole: states in resource variables, and subgraphs that IF and WHILE run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tflm_quantmcu.tflite import schema

CHANNELS, KEPT = 8, 3


class SubgraphModel(StockModel):
    """A StockModel of several subgraphs, each built in turn."""

    def begin(self, outputs: Sequence[Handle]) -> None:
        """Ends the subgraph at hand with these outputs, and begins another."""
        self._graph.outputs = [h.index for h in outputs]
        self._graph = schema.SubGraphT(tensors=[], operators=[], inputs=[])
        self._model.subgraphs.append(self._graph)

    def end(self, outputs: Sequence[Handle] = ()) -> bytes:
        """The `.tflite`; the last subgraph has these outputs."""
        own = [Handle(t, (), 0.0, 0) for t in self._model.subgraphs[0].outputs or ()]
        self._graph.outputs, self._graph = [h.index for h in outputs], self._model.subgraphs[0]
        return self.build(*(own or outputs))

    def sink(self, kind: str, inputs: Sequence[Handle], options: object = None) -> None:
        """An op without outputs."""
        like = Handle(-1, (), 0.0, 0)
        self._op(kind, [h.index for h in inputs], options, like, ())
        self._graph.tensors.pop()
        self._graph.operators[-1].outputs = []

    def handle(self, name: str) -> Handle:
        """A VAR_HANDLE of the variable."""
        options = schema.VarHandleOptionsT(container=b"", sharedName=name.encode())
        return self._op("VAR_HANDLE", [], options, Handle(-1, (), 1.0, 0), (), dtype="resource")


def streaming(*, seed: int = 0, has_init: bool = True) -> bytes:
    """A network of streamed sound: its convolution reads the last steps, which a variable keeps; `has_init` sets that
    in a subgraph of its own that CALL_ONCE runs, and without it the variable begins as zeros."""
    rng = np.random.default_rng(seed)
    net = SubgraphModel()
    x = net.input((1, 2, 1, CHANNELS))
    if has_init:
        net.sink("CALL_ONCE", [], schema.CallOnceOptionsT(initSubgraphIndex=1))
    state = net.handle("steps")
    kept = net.stock("READ_VARIABLE", [state], schema.ReadVariableOptionsT(), (1, KEPT, 1, CHANNELS), scale=x.scale)
    steps = net.concatenation([kept, x], 1)
    ends = [net.constant(np.array(v, np.int32)) for v in ((0, 2, 0, 0), (1, 5, 1, CHANNELS), (1, 1, 1, 1))]
    last = net.stock("STRIDED_SLICE", [steps, *ends], schema.StridedSliceOptionsT(), (1, KEPT, 1, CHANNELS))
    net.sink("ASSIGN_VARIABLE", [state, last], schema.AssignVariableOptionsT())
    filter = rng.integers(-127, 128, (16, 5, 1, CHANNELS), np.int8)
    y = net.conv2d(steps, filter, filter_scales=[0.01] * 16, padding="VALID", scale=0.1)
    outputs = [net.fully_connected(net.reshape(y, (1, 16)), rng.integers(-127, 128, (4, 16), np.int8), scale=0.2)]
    if not has_init:
        return net.end(outputs)
    net.begin(outputs)
    first = rng.integers(-127, 128, (1, KEPT, 1, CHANNELS), np.int8)
    net.sink("ASSIGN_VARIABLE", [net.handle("steps"), net.constant(first, scale=0.05)], schema.AssignVariableOptionsT())
    return net.end()


def branching() -> bytes:
    """A network that runs one of two subgraphs, by its largest value."""
    net = SubgraphModel()
    x = net.input((1, 1, 1, CHANNELS))
    options = schema.IfOptionsT(thenSubgraphIndex=1, elseSubgraphIndex=2)
    chosen = net.stock("IF", [_is_above(net, x, 100), x], options, x.shape, scale=x.scale, zero_point=0)
    net.begin([net.relu(chosen)])
    net.begin([net.hard_swish(net.relu6(net.input(x.shape)), scale=x.scale, zero_point=0)])
    return net.end([net.relu(net.input(x.shape))])


def looping() -> bytes:
    """A network that halves its values in a subgraph, until another says that all are small."""
    net = SubgraphModel()
    x = net.input((1, 1, 1, CHANNELS))
    small = net.stock("WHILE", [x], schema.WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=2), x.shape)
    net.begin([net.relu(small)])
    net.begin([_is_above(net, net.input(x.shape), 10)])
    source = net.input(x.shape)
    half = net.constant(np.array([1], np.int8), scale=0.5)
    return net.end([net.stock("MUL", [source, half], schema.MulOptionsT(), x.shape)])


def _is_above(net: SubgraphModel, x: Handle, value: int) -> Handle:
    """Whether the largest value is, bool [1]."""
    axes = net.constant(np.array([1, 2, 3], np.int32))
    most = net.stock("REDUCE_MAX", [x, axes], schema.ReducerOptionsT(), (1,))
    bound = net.constant(np.array([value], np.int8), scale=x.scale)
    return net.stock("GREATER", [most, bound], schema.GreaterOptionsT(), (1,), dtype="bool")


SUBGRAPH_MODELS = {
    "CALL_ONCE": streaming,
    "VAR_HANDLE": lambda: streaming(has_init=False),
    "IF": branching,
    "WHILE": looping,
}
