"""Files are there whole or not at all."""

from __future__ import annotations

import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import require_folder, write_atomically


def test_it_writes_and_replaces(tmp_path):
    path = tmp_path / "m.tflite"
    write_atomically(path, b"one")
    write_atomically(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere/m.tflite cannot be written: No such file or directory"):
        write_atomically(tmp_path / "nowhere" / "m.tflite", b"")


def test_a_folder_in_the_way_leaves_no_trace(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(UsageError, match="m cannot be written"):
        write_atomically(tmp_path / "m", b"one")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "m").mkdir()
    require_folder(tmp_path / "m.tflite")
    require_folder("m.tflite")
    with pytest.raises(UsageError, match="nowhere/m.tflite cannot be written: No such file or directory"):
        require_folder(tmp_path / "nowhere" / "m.tflite")
    with pytest.raises(UsageError, match="m cannot be written: Is a directory"):
        require_folder(tmp_path / "m")
