"""Gives feature maps of an int8 model other 8-bit formats: again a stock int8 `.tflite`, biases in the new steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.calibration.biases import bias_steps
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile
from tflm_quantmcu.tflite.prune import prune_buffers
from tflm_quantmcu.tflite.writer import associated_files, write_model


def rescale_model(model: AnyModel, formats: Mapping[int, Format]) -> bytes:
    """Rewrites scales, zero points and biases, and nothing else.

    Args:
      model: the int8 `.tflite`.
      formats: tensor -> 8-bit format, of maps that ops write; maps that must share a format have one (`free_groups`).

    Raises:
      UnsupportedModelError: the file is damaged, a bias is shared by ops of different scales or leaves int32.
    """
    file = ModelFile.of(model)
    graph, tree = file.graph, file.copied_tree()
    tensors = tree.subgraphs[0].tensors
    for index, format in formats.items():
        quantization = tensors[index].quantization
        quantization.scale = np.array([format.scale], np.float32)
        quantization.zeroPoint = np.array([format.zero_point], np.int64)
        quantization.min = quantization.max = None
    old, new = (bias_steps(graph, chosen) for chosen in ({}, formats))
    for index, step in new.items():
        if np.array_equal(step, old[index]):
            continue
        bias = round_half_away(np.asarray(graph.tensors[index].data) * (old[index] / step))
        if np.abs(bias).max(initial=0) >= 2**31:
            raise UnsupportedModelError(
                f"the bias '{graph.tensors[index].label}' leaves int32 in its new steps; use --calibration_method own"
            )
        if tensors[index].quantization is not None:
            tensors[index].quantization.scale = step.astype(np.float32)
        tensors[index].buffer = len(tree.buffers)
        tree.buffers.append(schema.BufferT(data=np.frombuffer(bias.astype("<i4").tobytes(), np.uint8)))
    prune_buffers(tree)
    return write_model(tree) + associated_files(file.data)
