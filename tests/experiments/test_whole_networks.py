"""Whole networks at few bits: which maps are lowered, and what is judged."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from experiments.judging import public
from experiments.judging.judged import JudgedNetwork
from experiments.judging.whole import row, whole_plan
from experiments.npz import save_npz
from tests.support.tiny_models import TinyModel


def _residual() -> tuple[bytes, dict[str, int]]:
    """A network of a first layer, a block with an ADD, and a classifier; and the indices of its maps."""
    net, rng = TinyModel(), np.random.default_rng(0)
    scales = {"filter_scales": [0.02] * 4, "scale": 0.1}
    x = net.input((1, 6, 6, 3))
    first = net.conv2d(x, rng.integers(-9, 10, (4, 3, 3, 3), dtype=np.int8), **scales)
    inner = net.conv2d(first, rng.integers(-9, 10, (4, 3, 3, 4), dtype=np.int8), **scales)
    branch = net.conv2d(inner, rng.integers(-9, 10, (4, 1, 1, 4), dtype=np.int8), **scales)
    added = net.add(first, branch, scale=0.1)
    last = net.conv2d(added, rng.integers(-9, 10, (4, 3, 3, 4), dtype=np.int8), **scales)
    scores = net.fully_connected(
        net.reshape(last, (1, 144)), rng.integers(-9, 10, (5, 144), dtype=np.int8), scale=0.1, filter_scales=[0.01] * 5
    )
    maps = {"first": first, "inner": inner, "branch": branch, "added": added, "last": last}
    return net.build(scores), {name: handle.index for name, handle in maps.items()}


@pytest.fixture(scope="module", name="network")
def _network(tmp_path_factory: pytest.TempPathFactory) -> JudgedNetwork:
    folder: pathlib.Path = tmp_path_factory.mktemp("residual")
    (folder / "int8.tflite").write_bytes(_residual()[0])
    x = np.random.default_rng(1).integers(-128, 128, (60, 6, 6, 3), dtype=np.int8)
    save_npz(folder / "calibration.npz", x=x[:40])
    save_npz(folder / "evaluation.npz", x=x[40:], y=np.arange(20) % 5)
    return JudgedNetwork(folder, part="evaluation")


def test_all_is_lowered_that_may_be_or_what_published_results_lower(network: JudgedNetwork) -> None:
    def lowered(**how: bool) -> tuple[set[str], int]:
        plan = whole_plan(network, 4, 4, **how)
        names = {network.graph.tensors[index].name: name for name, index in _residual()[1].items()}
        return {names[name] for name in plan.formats if name in names}, len(plan.weight_bits)

    assert lowered(published=False) == ({"first", "inner", "branch", "added"}, 5)
    assert lowered(published=True) == ({"inner", "added"}, 3)
    assert not whole_plan(network, 4, 8, published=False).formats
    assert not whole_plan(network, 8, 4, published=False).weight_bits


def test_a_row_says_by_how_many_images(network: JudgedNetwork) -> None:
    found = row("residual", network, "W4A4", published=True, mode="off")
    assert (found.network, found.widths, found.num_judged) == ("residual", "W4A4*", 20)
    assert found.int8 == pytest.approx(100 * network.accuracy, abs=0.01)


@pytest.mark.parametrize("size", [(300, 400), (256, 256), (1000, 500)])
def test_of_an_image_the_middle_counts(tmp_path: pathlib.Path, size: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image")
    y, x = np.mgrid[: size[1], : size[0]]
    halves = np.stack([255 * (x >= size[0] // 2), 255 * (y >= size[1] // 2), 0 * x], axis=-1).astype(np.uint8)
    image.fromarray(halves).save(tmp_path / "halves.png")
    found = public.picture(tmp_path / "halves.png")
    assert found.shape == (224, 224, 3) and found.dtype == np.uint8
    middle = np.arange(224) >= 112
    apart = np.abs(np.arange(224) - 111.5) > 3  # from the edge, which resizing blurs
    np.testing.assert_array_equal(found[50, apart, 0] > 127, middle[apart])
    np.testing.assert_array_equal(found[apart, 50, 1] > 127, middle[apart])
