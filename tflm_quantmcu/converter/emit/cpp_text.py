"""Numbers as C++ text: initialisers, arrays in flash, wrapped lines."""

from __future__ import annotations

import dataclasses
import re
import struct
import textwrap
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.law.kernel_calls import StructArray

LINE_LENGTH = 100
_NAMESPACE = "quantmcu::"
_TYPES = {"uint8": "uint8_t", "uint16": "uint16_t", "int32": "int32_t", "float32": "float"}


class Definitions:
    """Constants of one source file; equal arrays share one definition.

    Attributes:
      text: the definitions in order.
      num_bytes: of all arrays.
      blocks: an initialiser of quantmcu::aot::Block for everything defined, but for pointers.
      crc32: of all blocks' bytes in order.
    """

    def __init__(self) -> None:
        self.text: list[str] = []
        self.num_bytes = 0
        self.blocks: list[str] = []
        self.crc32 = 0
        self._names: dict[tuple[str, bytes], str] = {}

    def array(self, name: str, values: np.ndarray) -> str:
        """Defines an array of integers or finite float32, flat whatever its shape, unless an equal one is there; its
        name. int8 becomes uint8."""
        values = np.ascontiguousarray(values)
        if values.dtype == np.int8:
            values = values.view(np.uint8)
        key = (values.dtype.name, values.tobytes())
        if key not in self._names:
            self._names[key] = name
            self.num_bytes += values.nbytes
            self._add_block(name, name, values.tobytes())
            head = f"alignas(16) constexpr {_TYPES[values.dtype.name]} {name}[] = "
            self.text.append(f"{head}{array_initializer(values)};")
        return self._names[key]

    def params(self, name: str, params: Any) -> str:
        """Defines a params struct, field by field; its name."""
        fields = [(f.name, getattr(params, f.name)) for f in dataclasses.fields(params)]
        items = {field: self._item(name, field, value) for field, value in fields}
        self.text.append(f"constexpr {_NAMESPACE}{type(params).__name__} {name} = {_lines(items)};")
        # Pointers stand behind the header; what they point to is a block of its own.
        block = f"{name}.header" if hasattr(params, "header") else name
        self._add_block(f"&{block}", block, _words(params.header if hasattr(params, "header") else params))
        return name

    def _add_block(self, address: str, sized: str, data: bytes) -> None:
        self.blocks.append(f"{address}, sizeof({sized})")
        self.crc32 = zlib.crc32(data, self.crc32)

    def _item(self, name: str, field: str, value: Any) -> str:
        member = name + "".join(word.capitalize() for word in field.split("_"))
        if isinstance(value, np.ndarray):
            return self.array(member, value)
        if isinstance(value, StructArray):
            rows = "\n".join(f"    {initializer(row)}," for row in value.rows)
            self.num_bytes += value.num_bytes
            self.text.append(f"constexpr {_NAMESPACE}{value.struct} {member}[] = {{\n{rows}\n}};")
            self._add_block(member, member, _words(value.rows))
            return member
        return initializer(value)


def _words(value: Any) -> bytes:
    """A C++ struct's bytes: its numbers in order, int32 or float, little-endian."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.astuple(value)
    if isinstance(value, tuple):
        return b"".join(map(_words, value))
    return struct.pack("<f" if isinstance(value, float) else "<i", value)


def initializer(value: Any) -> str:
    """A number, or nested ones in braces."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.astuple(value)
    if isinstance(value, tuple):
        return "{" + ", ".join(initializer(item) for item in value) + "}"
    if isinstance(value, float):
        return float_literal(value)
    return str(value)


def struct_initializer(struct: Any) -> str:
    """A dataclass in braces, a line a field."""
    return _lines({f.name: initializer(getattr(struct, f.name)) for f in dataclasses.fields(struct)})


def _lines(items: Mapping[str, str]) -> str:
    return "\n".join(["{", *(f"    {text},  // {field.replace('_', ' ')}" for field, text in items.items()), "}"])


def float_literal(value: float) -> str:
    """The shortest text that gives this float32."""
    return f"{np.float32(value)!s}f"


def array_initializer(values: np.ndarray) -> str:
    """All values of an array of any shape and dtype of `Definitions.array`, in braces, lines filled."""
    text = float_literal if values.dtype == np.float32 else str
    numbers = ",".join(map(text, values.ravel().tolist()))
    return "{\n" + "\n".join(_fill(numbers, LINE_LENGTH)) + "\n}"


def _fill(numbers: str, length: int) -> list[str]:
    """Lines that end after a comma; textwrap is too slow for weights."""
    lines, start = [], 0
    while len(numbers) - start > length:
        end = numbers.rindex(",", start, start + length) + 1
        lines.append(numbers[start:end])
        start = end
    return [*lines, numbers[start:]]


def comment_text(text: str) -> str:
    """Text of a model in a comment: one printable line that does not run on into the next."""
    return re.sub(r"[^ -~]|\\", "_", text)


def statement(function: str, arguments: Sequence[str]) -> str:
    """A call as a statement, indented and wrapped."""
    text = f"{function}({', '.join(arguments)});"
    return "\n".join(
        textwrap.wrap(
            text,
            LINE_LENGTH,
            initial_indent="  ",
            subsequent_indent="      ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
