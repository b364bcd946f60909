"""Samples: `.npz` files and arrays in, values of the model's input type out.

The `.npz` convention: `x` inputs [N, ...] and, where accuracy is wanted, `y` integer labels [N]. A saved calibration
has its inputs as `samples`, which are read in place of `x`.
`x` is float32 as the model was trained, or of the model's own input type. uint8 for a model with
another input type is read as real values: images that the model takes unscaled. What does not fit
the model's input is refused, never reshaped or rescaled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.base.npz import open_npz
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.law.fixed_point import multiply, quantize_multiplier, round_half_away

# Beyond every 8-bit range: steps are clamped here before they become integers.
_MAX_STEPS = 1024.0
# Along each axis, what `varied_samples` has in common at the coarse.
_BLOCK = 8


def load_samples(path: str | os.PathLike[str], tensor: Tensor | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads `x` and `y` of an `.npz` file.

    Args:
      path: the file.
      tensor: the model's input, batch 1; None leaves it to the caller whether x fits the model.

    Returns:
      x as stored [N, ...], N >= 1; y int64 [N], or None where the file has none.

    Raises:
      UsageError: no such file, not an `.npz`, or a key that is missing, empty or does not fit; the
        sentence names the file and the key.
    """
    with open_npz(path) as file:
        found = ", ".join(file.headers) or "none"
        key = "samples" if "x" not in file and "samples" in file else "x"
        arrays = {}
        if key in file:
            if tensor is not None:
                _check_form(*file.headers[key].form, tensor, name=f"key x of {path}")
            arrays["x"] = file[key]
        if "y" in file:
            arrays["y"] = file["y"]
    if "x" not in arrays:
        raise UsageError(f"{path} has no key x (inputs); its keys are: {found}")
    if tensor is not None:
        check_samples(arrays["x"], tensor, name=f"key x of {path}")
    y = arrays.get("y")
    if y is None:
        return arrays["x"], None
    if not np.issubdtype(y.dtype, np.integer):
        raise UsageError(f"key y of {path} is {y.dtype}; supported are integer labels")
    num_samples = len(arrays["x"])
    if y.shape != (num_samples,):
        raise UsageError(f"key y of {path} has shape {y.shape}; the {num_samples} samples need [{num_samples}]")
    return arrays["x"], y.astype(np.int64)


def check_samples(x: np.ndarray, tensor: Tensor, *, name: str = "x") -> None:
    """Refuses samples that are no inputs of the model.

    Args:
      x: [N, ...], of the model's input type, a float type, or uint8.
      tensor: the model's input.
      name: what the sentences call `x`.

    Raises:
      UsageError: wrong type, rank or shape, no samples, or values that are not finite; the sentence starts with `name`.
      UnsupportedModelError: the model's input has no batch dimension of 1.
    """
    _check_form(x.shape, x.dtype, tensor, name=name)
    if np.issubdtype(x.dtype, np.floating):
        with np.errstate(over="ignore"):
            num_bad = int(np.count_nonzero(~np.isfinite(x.astype(np.float32, copy=False))))
        if num_bad:
            raise UsageError(f"{name} has {num_bad} values that are not finite float32 numbers")


def _check_form(shape: tuple[int, ...], dtype: np.dtype[Any], tensor: Tensor, *, name: str) -> None:
    if not tensor.shape or tensor.shape[0] != 1:
        raise UnsupportedModelError(f"the model's input {tensor.name} has shape {tensor.shape}; supported is batch 1")
    if len(shape) != len(tensor.shape) or shape[1:] != tensor.shape[1:]:
        needed = ", ".join(str(d) for d in ("N", *tensor.shape[1:]))
        raise UsageError(f"{name} has shape {shape}; the model needs [{needed}]")
    if not shape[0]:
        raise UsageError(f"{name} is empty; needed is at least one sample")
    is_real = np.issubdtype(dtype, np.floating) or dtype == np.uint8
    takes_reals = tensor.dtype == "float32" or bool(tensor.scales)
    if dtype != tensor.dtype and not (is_real and takes_reals):
        if not takes_reals:
            raise UsageError(f"{name} is {dtype}; supported is {tensor.dtype}, for the model does not say its scale")
        taken = " or ".join(sorted({tensor.dtype, "float32"}))
        raise UsageError(f"{name} is {dtype}; supported is {taken}")


def to_model_input(x: np.ndarray, tensor: Tensor, *, name: str = "x") -> np.ndarray:
    """Brings samples to the model's input type: reals are quantised and clamped (law A8).

    Args:
      x: [N, ...], the model's input type, that of the input of which a streamed one is made, a float type, or uint8
        real values.
      tensor: the model's input, batch 1, type float32, int8 or uint8.
      name: what the sentences call `x`.

    Returns:
      [N, ...] of the model's input type; `x` itself where it has that type.

    Raises:
      UsageError: see `check_samples`; or uint8 values that the model's input cannot hold, so that
        they are not scaled as in training.
    """
    check_samples(x, tensor, name=name)
    if x.dtype == tensor.dtype:
        return x
    if tensor.made_of is not None and x.dtype == tensor.made_of.dtype:
        return _requantised(x, tensor.made_of, tensor)
    if tensor.dtype == "float32":
        return x.astype(np.float32)
    limits = np.iinfo(tensor.dtype)
    scale, zero_point = np.float32(tensor.scales[0]), tensor.zero_points[0]
    with np.errstate(over="ignore"):
        steps = np.clip(x.astype(np.float32) / scale, -_MAX_STEPS, _MAX_STEPS)
    q = round_half_away(steps) + zero_point
    if x.dtype == np.uint8 and (q.min() < limits.min or q.max() > limits.max):
        low, high = ((limit - zero_point) * float(scale) for limit in (limits.min, limits.max))
        raise UsageError(
            f"{name} is uint8 from {x.min()} to {x.max()}, but the model takes {low:.4g} to "
            f"{high:.4g}; give float32 scaled as in training, or {tensor.dtype}"
        )
    return np.clip(q, limits.min, limits.max).astype(tensor.dtype)


def _requantised(x: np.ndarray, source: Tensor, tensor: Tensor) -> np.ndarray:
    """Values [N, ...] of an input as the QUANTIZE that made `tensor` of it gives them (law A7)."""
    factor = quantize_multiplier(float(np.float32(source.scales[0])) / float(np.float32(tensor.scales[0])))
    q = multiply(x.astype(np.int32) - source.zero_points[0], *factor).astype(np.int64) + tensor.zero_points[0]
    limits = np.iinfo(tensor.dtype)
    return np.clip(q, limits.min, limits.max).astype(tensor.dtype)


def to_real(q: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The real values, float32 of the same shape, of a tensor's integers; those without a scale stay as they are."""
    if not tensor.scales:
        return q.astype(np.float32)
    return (q.astype(np.float32) - np.float32(tensor.zero_points[0])) * np.float32(tensor.scales[0])


def random_samples(tensor: Tensor, count: int, *, seed: int = 0) -> np.ndarray:
    """Inputs [count, ...] without meaning: integers over the type's whole range, or normal float32. Those of more than
    16 bits are 0 or 1: they may be indices, of which an op knows as many as it has rows."""
    rng = np.random.default_rng(seed)
    shape = (count, *tensor.sample_shape)
    if tensor.dtype == "float32":
        return rng.standard_normal(shape, np.float32)
    low, high = _limits(tensor.dtype)
    return rng.integers(low, high, shape, np.int32, endpoint=True).astype(tensor.dtype)


def random_inputs(tensors: Sequence[Tensor], count: int, *, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Samples [count, ...] of each of a model's inputs, of its dtype, as of `random_samples`; those of the first are of
    this very seed."""
    return tuple(random_samples(tensor, count, seed=seed + i) for i, tensor in enumerate(tensors))


def _limits(dtype: str) -> tuple[int, int]:
    if dtype in ("int8", "uint8", "int16"):
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if dtype in ("int32", "int64", "uint32", "bool"):
        return 0, 1
    raise UnsupportedModelError(f"an input is {dtype}; supported are float32 and integers")


def varied_samples(tensor: Tensor, count: int, *, seed: int = 0) -> np.ndarray:
    """Random inputs [count, ...] that differ as images do: in brightness, contrast, coarse and fine structure.

    All stay inside the type's range, float32 inside +-3. White noise, which a network's first averages make nearly
    constant, would tell samples apart less.
    """
    rng = np.random.default_rng(seed)
    shape = tensor.sample_shape
    fine = rng.random((count, *shape))
    coarse = _repeated(rng.random((count, *(-(-size // _BLOCK) for size in shape))), shape)
    share = rng.uniform(0.1, 0.9, (count, *[1] * len(shape)))
    contrast = rng.uniform(0.5, 1.0, share.shape)
    values = contrast * (share * coarse + (1 - share) * fine) + rng.random(share.shape) * (1 - contrast)
    if tensor.dtype == "float32":
        return (6 * values - 3).astype(np.float32)
    low, high = _limits(tensor.dtype)
    return np.floor(low + values * (high - low + 1)).astype(tensor.dtype)


def _repeated(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[count, ...] blocks, each value _BLOCK times along every axis behind the first, cut to the shape."""
    for axis, size in enumerate(shape, 1):
        blocks = np.take(blocks, np.arange(size) // _BLOCK, axis=axis)
    return blocks


def choose_samples(x: np.ndarray, *, max_samples: int, seed: int) -> np.ndarray:
    """Chooses at most `max_samples` of x [N, ...], of any dtype, drawn without repeats by `seed`, in their own order.

    Raises:
      UsageError: max_samples below 1.
    """
    if max_samples < 1:
        raise UsageError(f"max_samples is {max_samples}; it must be at least 1")
    if len(x) <= max_samples:
        return x
    chosen = np.random.default_rng(seed).choice(len(x), max_samples, replace=False)
    return x[np.sort(chosen)]


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of types, shapes and values, in hexadecimal."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
