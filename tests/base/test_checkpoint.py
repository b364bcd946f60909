"""Checkpoints: what is saved is loaded, by the same run alone, and a file is always whole."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.errors import UsageError

KEY = {"model": "ab", "search": {"seed": 0, "margin": 0.05}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.checkpoint"


def test_there_is_no_state_before_the_first(path):
    assert Checkpoint(path, KEY).load() is None
    assert not path.exists()


def test_the_latest_state_is_loaded_again(path):
    generator = np.random.default_rng(3)
    generator.standard_normal(5)
    Checkpoint(path, KEY).save({"step": 1})
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4), np.int8)}
    Checkpoint(path, KEY).save({"step": 2, "generator": generator.bit_generator.state}, arrays)
    state = Checkpoint(path, KEY).load()
    assert state.values["step"] == 2
    assert set(state.arrays) == set(arrays)
    for name, array in arrays.items():
        assert state.arrays[name].dtype == array.dtype and np.array_equal(state.arrays[name], array)
    again = np.random.default_rng()
    again.bit_generator.state = state.values["generator"]
    assert again.standard_normal() == generator.standard_normal()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_run_with_another_key_is_refused_by_what_differs(path):
    Checkpoint(path, KEY).save({"step": 1})
    other = {**KEY, "search": {"seed": 1, "margin": 0.05}}
    with pytest.raises(UsageError, match="differs in search; delete it"):
        Checkpoint(path, other).load()
    assert Checkpoint(path, KEY).load() is not None


@pytest.mark.parametrize("content", (b"", b"text", b"PK\x03\x04 broken"))
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no checkpoint .* delete it"):
        Checkpoint(path, KEY).load()


def test_removing_leaves_nothing(path):
    checkpoint = Checkpoint(path, KEY)
    checkpoint.save({})
    checkpoint.remove()
    checkpoint.remove()
    assert not path.exists()
