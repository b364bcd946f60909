"""Writes the kept inputs of the Python fuzz targets: `python -m tests.fuzz.python_seeds`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.networks import inverted_residual
from tests.support.plans import mixed, split
from tests.support.stock_op_models import STOCK_OP_MODELS
from tests.support.streamed import streamed_plan
from tests.support.subgraph_models import SUBGRAPH_MODELS
from tflm_quantmcu.calibration.calibrate import calibrate
from tflm_quantmcu.calibration.calibration_file import save_calibration
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.tflite.model_file import ModelFile

CORPUS = Path(__file__).parent / "corpus"
_RULES = (
    "- {match: .*, activation_bits: 4}",
    "- match: map1|map2\n  weight_bits: 2\n- {match: 'c.*1', weight_bits: 8}",
)


def models() -> dict[str, bytes]:
    """Small models by name: every op that stays TFLite's own, a network, and the network converted."""
    network = inverted_residual(size=6, channels=2)
    graph = ModelFile(network).graph
    plans = {"split": split(graph), "mixed": mixed(graph, 1), "streamed": streamed_plan(graph, tile_height=2)}
    stock = {f"stock_{name.lower()}": make() for name, make in STOCK_OP_MODELS.items()}
    whole = {f"subgraphs_{name.lower()}": make() for name, make in SUBGRAPH_MODELS.items()}
    return {
        **stock,
        **whole,
        "network": network,
        **{name: convert_model(network, plan) for name, plan in plans.items()},
    }


def main() -> None:
    network = inverted_residual(size=6, channels=2)
    graph = ModelFile(network).graph
    plans = {"split": split(graph), "mixed": mixed(graph, 1), "streamed": streamed_plan(graph, tile_height=2)}
    inputs = {f"reader/{name}": data for name, data in models().items()}
    inputs |= {f"plan/{name}": plan.to_json().encode() for name, plan in plans.items()}
    inputs |= {f"overrides/{i}": text.encode() for i, text in enumerate(_RULES)}
    for name, data in inputs.items():
        path = CORPUS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    samples = np.random.default_rng(0).integers(-128, 128, (2, 6, 6, 3), np.int8)
    (CORPUS / "calibration").mkdir(exist_ok=True)
    save_calibration(calibrate(network, samples, progress=False), CORPUS / "calibration" / "network")


if __name__ == "__main__":
    main()
