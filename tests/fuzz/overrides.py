"""Any bytes as the YAML of --precision_overrides: they are refused by one sentence, or are rules for a model."""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

import atheris
import yaml

from tests.fuzz import json_changes
from tests.fuzz.targets import run

with atheris.instrument_imports(include=["tflm_quantmcu.search.overrides", "tflm_quantmcu.base"]):
    from tests.support.networks import inverted_residual
    from tflm_quantmcu.base.errors import QuantMcuError
    from tflm_quantmcu.search.overrides import fixed_widths, read_overrides
    from tflm_quantmcu.tflite.model_file import ModelFile

GRAPH = ModelFile(inverted_residual(size=6, channels=2)).graph
_FOLDER = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
_FILE = Path(_FOLDER.name) / "input.yaml"


def one_input(data: bytes) -> None:
    _FILE.write_bytes(data)
    try:
        fixed_widths(GRAPH, read_overrides(_FILE))
    except QuantMcuError as error:
        assert len(str(error)) < 10_000


def mutate(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(json_changes.changed(yaml.safe_load(data), rng)).encode()


if __name__ == "__main__":
    run(one_input, mutate)
