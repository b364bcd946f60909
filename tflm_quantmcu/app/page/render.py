"""Fills a template with values: one HTML page that holds its styles, its script and its pictures."""

from __future__ import annotations

import base64
import functools
import struct
import zlib
from typing import Any

import jinja2
import markupsafe
import numpy as np


@functools.cache
def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("tflm_quantmcu.app", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["count"] = lambda value: "-" if value is None else f"{value:,}"
    environment.filters["png"] = png_uri
    environment.filters["sentence"] = sentence
    environment.filters["breakable"] = breakable
    return environment


def render(template: str, **values: Any) -> str:
    """The page."""
    return _environment().get_template(template).render(**values)


def sentence(text: str) -> str:
    """A line of the terminal as a page has it: with a capital, and signs that a terminal may lack."""
    return (text[:1].upper() + text[1:]).replace("+-", "±").replace("->", "→")


def breakable(text: str) -> markupsafe.Markup:
    """A name that may go on in another line behind each underscore."""
    return markupsafe.Markup(str(markupsafe.escape(text)).replace("_", "_<wbr>"))


def png_uri(pixels: np.ndarray) -> str:
    """A picture of uint8 [H, W, 3] as a data URI."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    parts = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
        _chunk(b"IEND", b""),
    ]
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
