"""Writes `.npz` files whole or not at all."""

from __future__ import annotations

import io
import os

import numpy as np

from tflm_quantmcu.base.files import write_atomically


def save_npz(path: str | os.PathLike[str], **arrays: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())
