"""What a model must compute: samples, and what TFLM on the host gives for them.

In: a model and, if the user has one, an `.npz`. Out: Recording. Refuses models that TFLM cannot prepare.
"""

from __future__ import annotations

import dataclasses
import os
import zlib

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.emit.map_crc32s import map_crc32s
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.placement.memory import align
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import load_samples, to_model_input, varied_samples
from tflm_quantmcu.tflite.model_file import ModelFile

NUM_SAMPLES = 8
_ARENA_STEP = 1024


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """Inferences of TFLM.

    Attributes:
      model: the `.tflite`.
      inputs, outputs: the model's tensors as TFLM sees them.
      input_values, output_values: [sample, ...] each, with their shapes.
      non_persistent_bytes: of the arena, that TFLM recorded.
      arena_bytes: in which TFLM prepares and runs the model on this host; it needs less on 32 bits.
    """

    model: ModelFile
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_values: tuple[np.ndarray, ...]
    output_values: tuple[np.ndarray, ...]
    non_persistent_bytes: int
    arena_bytes: int

    @property
    def num_samples(self) -> int:
        """Inferences."""
        return len(self.input_values[0])

    @property
    def crc32(self) -> int:
        """The CRC32 of all outputs' bytes, sample by sample, in order."""
        crc = 0
        for sample in zip(*self.output_values, strict=True):
            for values in sample:
                crc = zlib.crc32(values.tobytes(), crc)
        return crc

    def map_crc32s(self) -> np.ndarray:
        """uint32 [sample, op], of what each op of the model writes, as tflm_kernels/aot/self_test.h has it."""
        return map_crc32s(self.model, self.input_values)


def record(
    model: ModelFile, inputs: str | os.PathLike[str] | None, *, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> Recording:
    """Runs the model on so many samples.

    Args:
      model: the `.tflite`.
      inputs: `.npz` whose first samples are taken; what it lacks, or all without it, is random.
      num_samples: of the recording.
      seed: of random samples.

    Raises:
      UnsupportedModelError: TFLM cannot run it.
      UsageError: the samples do not fit, or our op library is needed and missing.
    """
    interpreter = Interpreter(model)
    tensors = interpreter.inputs
    values = [varied_samples(t, num_samples, seed=seed + i) for i, t in enumerate(tensors)]
    if inputs is not None:
        if len(tensors) != 1:
            raise UsageError(f"the model has {len(tensors)} inputs; --inputs is supported for one")
        x, _ = load_samples(inputs, tensors[0])
        given = to_model_input(x[:num_samples], tensors[0])
        values[0][: len(given)] = given
    outputs = [[np.array(y) for y in interpreter.invoke(list(sample))] for sample in zip(*values, strict=True)]
    allocations = interpreter.allocations()
    return Recording(
        model=model,
        inputs=tensors,
        outputs=interpreter.outputs,
        input_values=tuple(values),
        output_values=tuple(np.stack(y) for y in zip(*outputs, strict=True)),
        non_persistent_bytes=allocations.non_persistent_bytes,
        arena_bytes=align(interpreter.least_arena_bytes(), _ARENA_STEP),
    )
