"""What a model must compute: inputs, and the outputs that TFLM on the host gives for them.

In: a model and, if the user has one, an `.npz`. Out: Recording. Refuses models that TFLM cannot prepare.
"""

from __future__ import annotations

import dataclasses
import os
import zlib

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.placement.memory import align
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import load_samples, random_samples, to_model_input
from tflm_quantmcu.tflite.model_file import ModelFile

_ARENA_STEP = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """One inference of TFLM.

    Attributes:
      inputs, outputs: the model's tensors as TFLM sees them.
      input_values, output_values: with their shapes.
      non_persistent_bytes: of the arena, that TFLM recorded.
      arena_bytes: in which TFLM prepares and runs the model on this host; it needs less on 32 bits.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_values: tuple[np.ndarray, ...]
    output_values: tuple[np.ndarray, ...]
    non_persistent_bytes: int
    arena_bytes: int

    @property
    def crc32(self) -> int:
        """Of all outputs' bytes in order."""
        crc = 0
        for values in self.output_values:
            crc = zlib.crc32(values.tobytes(), crc)
        return crc


def record(model: ModelFile, inputs: str | os.PathLike[str] | None, *, seed: int = 0) -> Recording:
    """Runs the model once.

    Args:
      model: the `.tflite`.
      inputs: `.npz` whose first sample is taken; None takes random values.
      seed: of those.

    Raises:
      UnsupportedModelError: TFLM cannot run it.
      UsageError: the samples do not fit, or our op library is needed and missing.
    """
    interpreter = Interpreter(model)
    tensors = interpreter.inputs
    if inputs is None:
        values = [random_samples(t, 1, seed=seed + i) for i, t in enumerate(tensors)]
    elif len(tensors) != 1:
        raise UsageError(f"the model has {len(tensors)} inputs; --inputs is supported for one")
    else:
        x, _ = load_samples(inputs, tensors[0])
        values = [to_model_input(x[:1], tensors[0])]
    outputs = interpreter.invoke(values)
    allocations = interpreter.allocations()
    return Recording(
        inputs=tensors,
        outputs=interpreter.outputs,
        input_values=tuple(values),
        output_values=tuple(np.array(y) for y in outputs),
        non_persistent_bytes=allocations.non_persistent_bytes,
        arena_bytes=align(interpreter.least_arena_bytes(), _ARENA_STEP),
    )
