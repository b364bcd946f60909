"""Trains the detector and leaves its weights where `table.py` finds them.

    python -m experiments.detection.train --epochs 30

Weights are kept at half precision, which TensorFlow then converts. Seeds are fixed, but another machine's training
differs in the last bits, and its precision by the chance of training.
"""

from __future__ import annotations

import argparse

from experiments.detection.network import save_weights, trained
from experiments.detection.precision import mean_average_precision
from experiments.detection.scenes import scenes

NUM_TOLD, TOLD_SEED = 500, 2  # canvases with digits of training, to tell how far it came


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.detection.train", description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    model = trained(parser.parse_args().epochs)
    save_weights(model)
    told = scenes(NUM_TOLD, seed=TOLD_SEED, is_test=False)
    found = mean_average_precision(model.predict(told.x, batch_size=64, verbose=0), told)
    print(f"mAP@0.5 of {NUM_TOLD} other canvases with digits of training: {found:.2f}")


if __name__ == "__main__":
    main()
