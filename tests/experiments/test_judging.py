"""The networks that choose and judge: of both roles enough, and samples of which no image has two uses."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest

from experiments.judging.networks import NETWORKS, NUM_CLASSES, WEIGHTS, Role
from experiments.judging.samples import DATA, enlarged, scaled
from tflm_quantmcu.keras_bridge.to_tflite import keras
from tflm_quantmcu.tflite.reader import read_model

CHANNELS = {"fashion_mnist": 1, "cifar10": 3, "digits": 1}


def test_half_of_the_networks_choose_and_half_judge() -> None:
    roles = [network.role for network in NETWORKS.values()]
    assert len(roles) >= 6 and roles.count(Role.CHOOSE) >= 3 and roles.count(Role.JUDGE) >= 3
    assert sum(n.side >= 96 for n in NETWORKS.values() if n.role is Role.JUDGE) >= 2
    assert all(n.data != "digits" for n in NETWORKS.values() if n.role is Role.JUDGE), "too few to judge by"


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_a_score_a_class(name) -> None:
    network = NETWORKS[name]
    source = keras.Input((network.side, network.side, CHANNELS[network.data]))
    assert network.build(source).shape == (None, NUM_CLASSES)


def _numbered(count: int, *shape: int) -> bytes:
    """An `.npz` of images whose first pixels are their numbers."""
    x = np.zeros((count, *shape), np.uint8)
    flat = x.reshape(count, -1)
    flat[:, 0], flat[:, 1] = np.arange(count) % 256, np.arange(count) // 256
    stored = io.BytesIO()
    np.savez(stored, x=x, y=np.arange(count) % 10)
    return stored.getvalue()


@pytest.mark.parametrize("name", DATA)
def test_no_image_has_two_uses(name, tmp_path: pathlib.Path) -> None:
    for file, count, shape in (
        ("fashion_mnist_train_20000", 20_000, (4, 4)),
        ("fashion_mnist_test_10000", 10_000, (4, 4)),
        ("cifar10_train_15000", 15_000, (4, 4, 3)),
        ("cifar10_test_2000", 2_000, (4, 4, 3)),
    ):
        (tmp_path / f"{file}.npz").write_bytes(_numbered(count, *shape))
    samples = DATA[name](tmp_path)
    train, evaluation = ({i.tobytes() for i in part[0]} for part in (samples.train, samples.evaluation))
    assert len(samples.train[0]) >= 897 and len(samples.evaluation[0]) >= 300
    assert not train & evaluation
    assert name == "digits" or len(samples.judge[0]) >= 5_000
    assert all(len(part[0]) == len(part[1]) for part in (samples.train, samples.evaluation, samples.judge))


def test_kept_files_are_of_networks_in_the_list() -> None:
    files = sorted(WEIGHTS.iterdir())
    assert files and sum(file.stat().st_size for file in files) <= 1_500_000
    for file in files:
        network, graph = NETWORKS[file.stem], read_model(file.read_bytes())
        side, channels = network.side, CHANNELS[network.data]
        assert graph.tensors[graph.inputs[0]].shape == (1, side, side, channels)
        assert graph.tensors[graph.outputs[0]].shape == (1, NUM_CLASSES)


def test_enlarged_images_keep_their_range() -> None:
    x = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 2), dtype=np.uint8)
    larger = enlarged(x, 12)
    assert larger.shape == (3, 12, 12, 2) and larger.dtype == np.uint8
    assert abs(larger.mean() - x.mean()) < 16
    assert scaled(np.array([0, 255])).tolist() == [-1, 1]
