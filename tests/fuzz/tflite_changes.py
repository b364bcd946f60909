"""Changes of a `.tflite` by its tables: fields with odd values, vectors cut and grown, indices that lead elsewhere."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np

from tflm_quantmcu.tflite import schema

_ODD_INTS = (
    0,
    1,
    -1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    31,
    32,
    64,
    127,
    128,
    255,
    1000,
    32767,
    32768,
    65536,
    2**30,
    2**31 - 1,
    -(2**31),
)
_ODD_FLOATS = (0.0, -1.0, 1.0, 1e-45, 1e-30, 1e-9, 1e9, 1e38, float("nan"), float("inf"), 0.5, 0.05, 1 / 256)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The file with one to three changes; whatever packing raises where the format has no place for one."""
    tree = copied(schema.ModelT.InitFromPackedBuf(data))
    for _ in range(rng.randint(1, 3)):
        tables = list(_tables(tree))
        weights = [8 if type(t).__name__ in ("TensorT", "OperatorT", "QuantizationParametersT") else 2 for t in tables]
        _change(rng.choices(tables, weights)[0], tree, rng)
    builder = flatbuffers.Builder(4096)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def copied(part: Any) -> Any:
    """A part of an object tree that may be changed, vectors of numbers too."""
    if isinstance(part, list):
        return [copied(p) for p in part]
    if isinstance(part, np.ndarray):
        return part.copy()
    if not hasattr(part, "__dict__"):
        return part
    twin = copy.copy(part)
    vars(twin).update({name: copied(value) for name, value in vars(part).items()})
    return twin


def _tables(part: Any) -> Iterator[Any]:
    if isinstance(part, list):
        for p in part:
            yield from _tables(p)
    elif hasattr(part, "__dict__"):
        yield part
        for value in vars(part).values():
            yield from _tables(value)


def _change(table: Any, tree: Any, rng: random.Random) -> None:
    name = rng.choice(list(vars(table)))
    value = getattr(table, name)
    if isinstance(value, (list, np.ndarray)) and len(value):
        setattr(table, name, _changed_vector(value, rng))
    elif isinstance(value, bool):
        setattr(table, name, not value)
    elif isinstance(value, int):
        setattr(table, name, rng.choice([*_ODD_INTS, value + 1, value - 1, value * 2]))
    elif isinstance(value, float):
        setattr(table, name, rng.choice([*_ODD_FLOATS, value * 2, -value]))
    elif isinstance(value, bytes):
        setattr(table, name, rng.choice([b"", b"\x1b[2J", b"QMCU_ADD", value + b"x", "卷积".encode(), b"\xff\xfe"]))
    elif value is None:
        others = [t for t in _tables(tree) if type(t) is type(table) and getattr(t, name) is not None]
        setattr(table, name, copied(getattr(rng.choice(others), name)) if others else rng.choice([None, [0], [1, 2]]))
    elif rng.random() < 0.5:
        setattr(table, name, None)


def _changed_vector(value: Any, rng: random.Random) -> Any:
    action = rng.randrange(5)
    if action == 0:
        return value[: rng.randrange(len(value))]
    if action == 1:
        return list(value) + [value[rng.randrange(len(value))]]
    if action == 2 and len(value) > 1:
        i = rng.randrange(len(value))
        return list(value[:i]) + list(value[i + 1 :])
    vector = list(value) if isinstance(value, list) else value.copy()
    i = rng.randrange(len(vector))
    if isinstance(vector, np.ndarray):
        odd = _ODD_FLOATS if vector.dtype.kind == "f" else _ODD_INTS
        with np.errstate(all="ignore"):
            vector[i] = np.array(rng.choice(odd)).astype(vector.dtype)
    else:
        j = rng.randrange(len(vector))
        vector[i], vector[j] = vector[j], vector[i]
    return vector
