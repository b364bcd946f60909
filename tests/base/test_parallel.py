"""parallel_map: a plain loop's results, on processes, on a cluster, and when workers are killed."""

from __future__ import annotations

import os
import signal

import joblib
import pytest

from tflm_quantmcu.base.parallel import parallel_map

NUMBERS = list(range(12))


def square(number: int) -> int:
    return number * number


def killed_once(item: tuple[int, str]) -> int:
    """The process that comes to number 5 first is killed."""
    number, marker = item
    if number == 5 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fails(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


@pytest.mark.parametrize("n_jobs", (1, 2))
def test_results_are_those_of_a_loop_in_order(n_jobs):
    assert list(parallel_map(square, NUMBERS, n_jobs=n_jobs)) == [n * n for n in NUMBERS]
    assert list(parallel_map(square, [], n_jobs=n_jobs)) == []


def test_a_killed_worker_s_items_run_again(tmp_path):
    items = [(n, str(tmp_path / "killed")) for n in NUMBERS]
    assert list(parallel_map(killed_once, items, n_jobs=2)) == NUMBERS
    assert (tmp_path / "killed").exists()


def test_an_error_is_the_function_s_own():
    with pytest.raises(ValueError, match="three"):
        list(parallel_map(fails, NUMBERS, n_jobs=2))


def test_a_cluster_gives_the_same_and_survives_a_killed_worker(tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        items = [(n, str(tmp_path / "killed")) for n in NUMBERS]
        assert list(parallel_map(killed_once, items)) == NUMBERS
        assert list(parallel_map(square, NUMBERS)) == [n * n for n in NUMBERS]
    assert (tmp_path / "killed").exists()
