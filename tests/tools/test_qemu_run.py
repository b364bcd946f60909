"""The QEMU runner: results, exit codes, and what it says when an image does not come to an end."""

from __future__ import annotations

import re

import pytest

from tests.support.cortex_m import image
from tools import qemu_run


def test_results_are_the_lines_with_a_key():
    text = "hello\nCRC=0x00ff\nconv2d_a4w2=17\n=3\nno result = 4\nCRC=0x0100\n"
    assert qemu_run.parse_results(text) == {"CRC": "0x0100", "conv2d_a4w2": "17"}


def test_missing_image_is_named(tmp_path):
    with pytest.raises(qemu_run.QemuError, match="there is no image .*nothing.elf"):
        qemu_run.run_image(tmp_path / "nothing.elf", core="m4")


def test_missing_qemu_is_named(tmp_path, monkeypatch):
    path = tmp_path / "image.elf"
    path.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(qemu_run.QemuError, match="qemu-system-arm is missing"):
        qemu_run.run_image(path, core="m4")


def test_file_that_is_no_image_fails(tmp_path):
    image("m4", "calibration")  # skips without QEMU
    path = tmp_path / "image.elf"
    path.write_bytes(b"")
    with pytest.raises(qemu_run.QemuError, match="qemu-system-arm ended"):
        qemu_run.run_image(path, core="m4")


def test_image_that_does_not_end_in_time_fails():
    path = image("m4", "calibration")
    sentence = f"{re.escape(str(path))} was still running on m4 after 0.1 s"
    with pytest.raises(qemu_run.QemuError, match=sentence):
        qemu_run.run_image(path, core="m4", timeout_seconds=0.1)


def test_image_for_another_core_fails():
    """Code for the Cortex-M55 lies where the Cortex-M4's board has no memory."""
    with pytest.raises(qemu_run.QemuError):
        qemu_run.run_image(image("m55", "startup"), core="m4", timeout_seconds=20)


def test_command_line_gives_the_exit_code_and_the_text(capsys):
    path = str(image("m4", "startup"))
    assert qemu_run.main(["--core=m4", path]) == 42
    assert qemu_run.main(["--core=m4", path, "--expected_exit_code=42"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("ARENA=1\n") == 2
    assert captured.err == "qemu_run: the image ended with code 42\n"
