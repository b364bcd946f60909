"""A size is read in every way that people write it."""

from __future__ import annotations

import pytest

from tflm_quantmcu.base.byte_sizes import parse_bytes
from tflm_quantmcu.base.errors import UsageError


@pytest.mark.parametrize("size", (65536, "65536", "64KB", "64kb", "64k", "64K", "64KiB", "64 KB", " 65536 ", "65536B"))
def test_64_kilobytes(size: int | str) -> None:
    assert parse_bytes(size, "sram_bytes") == 64 * 1024


def test_megabytes() -> None:
    assert parse_bytes("1MiB", "flash_bytes") == parse_bytes("1M", "flash_bytes") == 1024 * 1024


@pytest.mark.parametrize("size", ("", "64 kilobytes", "1.5MB", "0x10", "64G", "none"))
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match=f"--sram_bytes is '{size}'; a size is a number of bytes"):
        parse_bytes(size, "sram_bytes")
