"""Files are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import beside, read_bytes, require_folder, write_atomically


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


def test_a_name_of_any_length_that_the_file_system_takes_is_written(tmp_path):
    for name in ("n" * 255, "é" * 127):
        write_atomically(tmp_path / name, b"one")
        assert (tmp_path / name).read_bytes() == b"one"
        other = beside(tmp_path / name, ".checkpoint.calibration")
        write_atomically(other, b"two")
        assert other.read_bytes() == b"two" and other != tmp_path / name
    assert beside("a/m.tflite", ".checkpoint").name == "m.tflite.checkpoint"
    assert beside("n" * 254 + "a", ".x") != beside("n" * 254 + "b", ".x")
    with pytest.raises(UsageError, match="cannot be written: File name too long"):
        require_folder(tmp_path / ("n" * 256))


def test_pipes_and_devices_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for path in (tmp_path / "pipe", tmp_path / "socket"):
        for use in (require_folder, lambda p: write_atomically(p, b"")):
            with pytest.raises(UsageError, match="it is a pipe or a device"):
                use(path)
        with pytest.raises(UsageError, match="cannot be read: (not a regular file|No such device)"):
            read_bytes(path, "--model")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").write_bytes(b"one")
    (tmp_path / "link").symlink_to("real")
    write_atomically(tmp_path / "link", b"two")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"two"


def test_calls_at_once_leave_one_whole_file(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: write_atomically(tmp_path / "m", data), contents * 5))
    assert (tmp_path / "m").read_bytes() in contents
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_the_disk_has_the_bytes_before_the_name(tmp_path):
    calls: list[str] = []
    with (
        mock.patch("os.fsync", lambda _: calls.append("fsync")),
        mock.patch("os.replace", lambda *_: calls.append("to")),
    ):
        write_atomically(tmp_path / "m", b"one")
    assert calls[:2] == ["fsync", "to"]


@pytest.mark.parametrize("options", ["size=64k", "ro"])
def test_a_full_or_read_only_disk_is_said_and_leaves_nothing(tmp_path, options):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        with pytest.raises(
            UsageError, match="m cannot be written: (No space left on device|Permission denied|Read-only)"
        ):
            write_atomically(disk / "m", bytes(1 << 20))
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)
