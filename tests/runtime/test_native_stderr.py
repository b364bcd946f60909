"""Text below sys.stderr is caught, and standard error works again afterwards."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

import pytest

from tflm_quantmcu.runtime.native_stderr import capture_native_stderr


def _print_in_c(text: str) -> None:
    libc = ctypes.CDLL(None)
    libc.dprintf(2, text.encode())


def test_text_of_c_code_is_caught(capfd):
    with capture_native_stderr() as captured:
        _print_in_c("from C\n")
    _print_in_c("after\n")
    assert captured.text == "from C\n"
    assert capfd.readouterr().err == "after\n"


def test_pass_on_writes_it_after_all(capfd):
    with capture_native_stderr() as captured:
        _print_in_c("a warning\n")
    captured.pass_on()
    assert capfd.readouterr().err == "a warning\n"


def test_an_exception_restores_standard_error(capfd):
    with pytest.raises(KeyError), capture_native_stderr() as captured:
        _print_in_c("before it failed\n")
        raise KeyError
    _print_in_c("restored\n")
    assert captured.text == "before it failed\n"
    assert capfd.readouterr().err == "restored\n"


def test_blocks_nest(capfd):
    with capture_native_stderr() as outer:
        _print_in_c("1")
        with capture_native_stderr() as inner:
            _print_in_c("2")
        _print_in_c("3")
    assert (outer.text, inner.text) == ("13", "2")


def test_threads_take_turns():
    texts = {}

    def run(name: str) -> None:
        for _ in range(50):
            with capture_native_stderr() as captured:
                _print_in_c(name)
            texts.setdefault(name, set()).add(captured.text)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {"a": {"a"}, "b": {"b"}, "c": {"c"}}


@pytest.mark.parametrize("replacement", [None, object()])
def test_any_sys_stderr_will_do(monkeypatch, replacement):
    monkeypatch.setattr(sys, "stderr", replacement)
    with capture_native_stderr() as captured:
        _print_in_c("x")
    assert captured.text == "x"


def test_without_standard_error_nothing_is_caught():
    saved = os.dup(2)
    os.close(2)
    try:
        with capture_native_stderr() as captured:
            pass
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    assert captured.text == ""
