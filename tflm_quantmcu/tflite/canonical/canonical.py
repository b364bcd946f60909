"""Writes a model in the one way that planning knows, where a file may write the same network in several.

In: the user's `.tflite`. Out: another that gives the same bytes and has the same inputs and outputs; the same object
where there is nothing to rewrite. Tensors keep their names, so that plans and reports say what people know.
"""

from __future__ import annotations

from collections.abc import Callable

from tflm_quantmcu.placement.memory import OFFLINE_METADATA
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.constants import fold_constants
from tflm_quantmcu.tflite.canonical.dead_channels import drop_dead_channels
from tflm_quantmcu.tflite.canonical.depthwise_groups import make_depthwise
from tflm_quantmcu.tflite.canonical.dilated_convs import dilate_convs
from tflm_quantmcu.tflite.canonical.float_islands import quantize_islands
from tflm_quantmcu.tflite.canonical.global_maxima import pool_before_maxima
from tflm_quantmcu.tflite.canonical.grouped_convs import join_groups
from tflm_quantmcu.tflite.canonical.order import order_ops
from tflm_quantmcu.tflite.canonical.reshapes import drop_needless_reshapes
from tflm_quantmcu.tflite.canonical.row_maps import widen_row_maps
from tflm_quantmcu.tflite.canonical.selects import rename_selects
from tflm_quantmcu.tflite.canonical.shortcuts import put_shortcuts_first
from tflm_quantmcu.tflite.canonical.splits import slice_splits
from tflm_quantmcu.tflite.canonical.transpose_convs import split_transpose_convs
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.prune import prune
from tflm_quantmcu.tflite.writer import write_model

# Each gives a changed tree, or None where it finds nothing.
REWRITES: tuple[Callable[[ModelFile], schema.ModelT | None], ...] = (
    fold_constants,  # first: what then is constant the others can look at
    quantize_islands,
    rename_selects,
    slice_splits,
    dilate_convs,  # before rows become images: of a Conv1D it makes one, between two reshapes
    split_transpose_convs,  # before the next: a Conv1DTranspose is one, between two reshapes
    widen_row_maps,  # networks over time compute on images of one row, between reshapes
    drop_needless_reshapes,  # behind it: of those most cancel out
    pool_before_maxima,  # behind those that give maps four dimensions
    make_depthwise,  # behind them too
    join_groups,
    drop_dead_channels,  # on the network that is left
    put_shortcuts_first,
    order_ops,  # last: it counts the bytes of what the others leave
)


def canonical(model: ModelFile) -> ModelFile:
    """The model rewritten; it keeps the SHA-256 of the user's file, for which plans and calibrations are.

    Raises:
      UnsupportedModelError: the file is damaged, or the model is not one static graph.
    """
    if model.source is not None or model.graph.subgraphs:
        return model
    found = model
    for rewrite in REWRITES:
        tree = rewrite(found)
        if tree is not None:
            # Its offsets are of tensors that are no longer these.
            tree.metadata = [m for m in tree.metadata or () if m.name != OFFLINE_METADATA.encode()]
            prune(tree)
            found = ModelFile(write_model(tree), model)
    return found
