"""Packed values (docs/format.md F2): signed 8, 4 or 2 bits, low bits first, in runs of bytes."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.law.arrays import AnyArray, Int8Array, UInt8Array


def run_bytes(count: int, bits: int) -> int:
    """Bytes of a run of `count` values of `bits` bits."""
    return (count * bits + 7) // 8


def pack(values: AnyArray, bits: int) -> UInt8Array:
    """Packs runs along the last axis.

    Args:
      values: integers [..., n] in the width's range.
      bits: 8, 4 or 2.

    Returns:
      uint8 [..., run_bytes(n, bits)]; the unused high bits of a run's last byte are 0.

    Raises:
      UsageError: another width, or a value that does not fit it.
    """
    values = np.asarray(values)
    limit = 1 << (_check_width(bits) - 1)
    if values.size and (values.min() < -limit or values.max() >= limit):
        raise UsageError(f"values from {values.min()} to {values.max()} do not fit {bits} bits")
    per_byte = 8 // bits
    fields = values.astype(np.int8).view(np.uint8) & np.uint8((1 << bits) - 1)
    num_bytes = run_bytes(values.shape[-1], bits)
    padding = [(0, 0)] * (values.ndim - 1) + [(0, num_bytes * per_byte - values.shape[-1])]
    fields = np.pad(fields, padding).reshape(*values.shape[:-1], num_bytes, per_byte)
    return np.bitwise_or.reduce(fields << _field_shifts(bits), axis=-1)


def unpack(data: Int8Array | UInt8Array, bits: int, count: int) -> Int8Array:
    """The inverse of `pack`.

    Args:
      data: uint8 or int8 [..., run_bytes(count, bits)].
      bits: 8, 4 or 2.
      count: values a run.

    Returns:
      int8 [..., count].

    Raises:
      UsageError: another width, or runs of another length.
    """
    data = np.asarray(data).astype(np.uint8, copy=False)
    if data.shape[-1] != run_bytes(count, _check_width(bits)):
        raise UsageError(
            f"a run of {data.shape[-1]} bytes does not hold {count} values of {bits} bits,"
            f" which take {run_bytes(count, bits)}"
        )
    # Moving each field to the top of its byte and back extends its sign.
    fields = (data[..., None] << (8 - bits - _field_shifts(bits))).view(np.int8) >> np.int8(8 - bits)
    return fields.reshape(*data.shape[:-1], data.shape[-1] * (8 // bits))[..., :count].copy()


def _field_shifts(bits: int) -> UInt8Array:
    return np.arange(0, 8, bits, dtype=np.uint8)


def _check_width(bits: int) -> int:
    if bits not in BIT_WIDTHS:
        raise UsageError(f"the width is {bits} bits; supported are 8, 4 and 2")
    return bits
