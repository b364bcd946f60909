"""What people keep their inputs in, as one array: arrays, lists, dicts, generators and datasets.

In: any of them and what one input of the model looks like. Out: an array [N, ...]. Keras' and TFLite's own conventions
hold: an item is a sample or a batch, alone, as (x, y), as the list of a representative_dataset, or by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError

# Arrays [N, ...] or what gives them item by item; tf.data.Dataset and keras.utils.PyDataset too.
SampleSource = np.ndarray | Sequence[Any] | Mapping[str, Any] | Iterable[Any] | Callable[[], Iterable[Any]]


def gather_samples(
    data: SampleSource, *, rank: int | None, input_name: str | None, max_samples: int, name: str = "calibration_data"
) -> np.ndarray:
    """Samples as one array [N, ...], of the dtype that they have.

    Args:
      data: an array [N, ...] or what can be one; a dict of such arrays; an iterable of samples [...] or batches [N,
        ...], each alone, first in a tuple, in a dict, or of batches in a list; or a function that gives such an
        iterable.
      rank: dimensions of a batch; None where the model does not say: items are batches.
      input_name: the key in a dict, as Keras or as its `.tflite` spells it; beside it, `x` or an only key.
      max_samples: an iterable is asked for its first so many samples, for it may have no end.
      name: what the sentences call `data`.

    Raises:
      UsageError: something else, no samples, items of several shapes, or no such key; the sentence names `name`.
    """
    is_labelled = isinstance(data, tuple) and len(data) > 0 and np.ndim(data[0]) == rank
    if isinstance(data, Mapping) or hasattr(data, "__array__") or is_labelled:
        return _inputs(data, rank, input_name, name)
    is_whole = isinstance(data, (list, tuple))
    parts: list[np.ndarray] = []
    for item in _items(data, name):
        part = _inputs(item, rank, input_name, name)
        parts.append(part[None] if rank is not None and part.ndim == rank - 1 else part)
        if not part.ndim or parts[-1].shape[1:] != parts[0].shape[1:]:
            raise UsageError(f"{name} has items of shapes {parts[0].shape} and {part.shape}; needed is one shape")
        if not is_whole and sum(map(len, parts)) >= max_samples:
            break
    if not parts:
        raise UsageError(f"{name} is empty; needed is at least one sample")
    joined = np.concatenate(parts)
    return joined if is_whole else joined[:max_samples]


def _items(data: Any, name: str) -> Iterator[Any]:
    if callable(data) and not hasattr(data, "__iter__"):
        data = data()
    if hasattr(data, "__iter__"):
        return iter(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return (data[i] for i in range(len(data)))
    raise UsageError(
        f"{name} is of type {type(data).__name__}; supported are arrays [N, ...], lists, dicts, generators, functions "
        "that give one, datasets and the path of an .npz"
    )


def _inputs(item: Any, rank: int | None, input_name: str | None, name: str) -> np.ndarray:
    """The model's inputs of an item that may hold labels too."""
    if isinstance(item, Mapping):
        layer = input_name and input_name.removeprefix("serving_default_").removesuffix(":0")
        keys = [key for key in (input_name, layer, "x") if key in item] or (list(item) if len(item) == 1 else [])
        if not keys:
            wanted = f"'{layer}' or 'x'" if layer else "'x'"
            raise UsageError(f"{name} has the keys {', '.join(map(repr, item))}; needed is {wanted}")
        item = item[keys[0]]
    elif isinstance(item, (list, tuple)) and len(item) and _are_inputs(item[0], rank, is_alone=isinstance(item, tuple)):
        item = item[0]
    try:
        return np.asarray(item)
    except ValueError:
        raise UsageError(f"{name} has samples of several shapes; needed is one shape") from None


def _are_inputs(values: Any, rank: int | None, *, is_alone: bool) -> bool:
    """Whether they are a batch, or a sample where one may stand alone, and no row of the inputs themselves."""
    try:
        dimensions = np.ndim(values)
    except ValueError:
        return False
    return dimensions > 0 if rank is None else dimensions == rank or (is_alone and dimensions == rank - 1 > 0)
