"""Any bytes as a `.tflite`: they are refused by one sentence, or read into a graph that planning can look at."""

from __future__ import annotations

import atheris

from tests.fuzz import tflite_changes
from tests.fuzz.targets import run

with atheris.instrument_imports(include=["tflm_quantmcu.tflite"]):
    from tflm_quantmcu.base.errors import QuantMcuError
    from tflm_quantmcu.lowering.network import LoweredNetwork
    from tflm_quantmcu.tflite.canonical.canonical import canonical
    from tflm_quantmcu.tflite.full_integer import require_source
    from tflm_quantmcu.tflite.model_file import ModelFile


def one_input(data: bytes) -> None:
    file = ModelFile(data)
    for look in (_plan, _source):
        try:
            look(file)
        except QuantMcuError as error:
            assert str(error)


def _plan(file: ModelFile) -> None:
    file.tree, file.plan  # noqa: B018


def _source(file: ModelFile) -> None:
    require_source(file.graph)
    network = LoweredNetwork.of(canonical(file).graph)
    network.total_macs  # noqa: B018
    for op in network.graph.ops:
        network.is_ours(op)


if __name__ == "__main__":
    run(one_input, tflite_changes.mutate)
