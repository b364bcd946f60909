"""Bytes of the format's versions (docs/format.md F3, F4): what is written, and what is read and refused by name.

The hexadecimal figures are part of the format: they change only with its version.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.edit_model import with_metadata
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.graph.precision_plan import OutlierRule
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.stage.custom_ops import decode_options, encode_options
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.layout import MapCache
from tflm_quantmcu.stage.program import StageFormat, StageProgram
from tflm_quantmcu.stage.remarks import layers_of, remarks_of
from tflm_quantmcu.tflite.operators import QmcuMap, QmcuOp
from tflm_quantmcu.tflite.reader import read_model

CONV_2D = QmcuOp(
    kind="CONV_2D",
    inputs=(QmcuMap(1, 8, -1),),
    output=QmcuMap(2, 4, 3),
    clamps=(-8, 7),
    window=Window(1, 1, 1, 1, 1, 1, 0, 0),
    table=np.array([5, -6, 1 << 30, 1 << 29, 1, -2], np.int32),
    filter=np.array([[[[0x01]], [[0x0E]]]], np.uint8).reshape(2, 1, 1, 1),
    weight_bits=4,
)
GRAPH = ModelGraph(
    tensors=(
        Tensor(0, "x", (1, 1, 1, 1), "int8", (0.5,), (-1,)),
        Tensor(1, "filter", (2, 1, 1, 1), "int8", (), (), data=CONV_2D.filter.view(np.int8)),  # type: ignore[union-attr]
        Tensor(2, "table", (6,), "int32", (), (), data=CONV_2D.table),
        Tensor(3, "y", (1, 1, 1, 1), "int8", (0.5,), (3,)),
    ),
    ops=(),
    inputs=(0,),
    outputs=(3,),
    sha256="",
)
STAGE = StageProgram(
    tile_height=1,
    tile_width=2,
    shapes=((2, 2, 1), (2, 2, 2)),
    ops=(StageOp("CONV_2D", (0,), 1, CONV_2D.window, 4, 0, b"\x01\x0e"),),
    formats=((StageFormat(8, -1, -128, 127), StageFormat(4, 3, -8, 7)),),
    tables=((CONV_2D.table,),),
    patch_classes=((0,), (0,)),
    caches=(MapCache(), MapCache()),
    outliers=OutlierRule(-128, 127, 65536),
)
PROGRAM = (
    "00000000 00000000 ffffffff 01000000 01000000 01000000 01000000 01000000 01000000 01000000 00000000 00000000 "
    "04000000 00000000 00000000 02000000 "  # the op
    "02000000 02000000 01000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "  # its maps
    "02000000 02000000 02000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
    "08000000 ffffffff 80ffffff 7f000000 ffffffff 00000000 "  # their formats
    "04000000 03000000 f8ffffff 07000000 ffffffff 00000000 "
    "00000000 "  # where the table begins
    "00000000 00000000 "  # the classes of two tiles
    "05000000 faffffff 00000040 00000020 01000000 feffffff"  # the table
)
CONV_2D_VERSION_3 = (
    "636c616d705f6d617800636c616d705f6d696e0064696c6174696f6e5f6865696768740064696c6174696f6e5f776964746800696e7075"
    "745f6269747300696e7075745f6368616e6e656c7300696e7075745f7a65726f5f706f696e74006b65726e656c5f686569676874006b65"
    "726e656c5f7769647468006f75747075745f62697473006f75747075745f6368616e6e656c73006f75747075745f7a65726f5f706f696e"
    "74007061645f6c656674007061645f746f70007374726964655f686569676874007374726964655f77696474680076657273696f6e0077"
    "65696768745f626974730012e8dfd6c7b9afa19184786d5e4d453e31251e12011207f801010801ff010104020300000101030404040404"
    "0404040404040404040404040404242401"
)
# One byte differs.
VERSION_BYTE = 269
CONV_2D_VERSION_2 = CONV_2D_VERSION_3[: 2 * VERSION_BYTE] + "02" + CONV_2D_VERSION_3[2 * VERSION_BYTE + 2 :]


def conv_2d(options: bytes) -> Op:
    return Op(0, "QMCU_CONV_2D", (0, 1, 2), (3,), custom_options=options)


def stage_options(**changes: int) -> dict[str, object]:
    return {**STAGE.encode()[0], **changes}


def test_a_program_of_version_3_has_these_bytes() -> None:
    options, filters, words = STAGE.encode()
    assert words.astype("<i4").tobytes() == bytes.fromhex(PROGRAM)
    assert filters.tobytes() == b"\x01\x0e\0\0"
    assert options["version"] == 3 and CONV_2D.options()["version"] == 3


def test_options_of_version_2_and_3_are_read_alike() -> None:
    golden = {2: CONV_2D_VERSION_2, 3: CONV_2D_VERSION_3}
    assert encode_options(CONV_2D.options()).hex() == golden[3]
    found = []
    for version, text in golden.items():
        options = bytes.fromhex(text)
        assert decode_options(options) == {**CONV_2D.options(), "version": version}
        found.append(calls_of(GRAPH, conv_2d(options))[0].params)
    assert found[0] == found[1]


@pytest.mark.parametrize("version", [2, 3])
def test_programs_of_both_versions_are_read(version: int) -> None:
    _, filters, words = STAGE.encode()
    decoded = StageProgram.decode(stage_options(version=version), filters, words)
    assert decoded.encode()[2].tolist() == words.tolist()
    assert decoded.formats == STAGE.formats and decoded.ops[0].filter == STAGE.ops[0].filter


def test_remarks_are_passed_over_from_version_3_on() -> None:
    _, filters, words = STAGE.encode()
    remarks = remarks_of(STAGE, ["a: b"])
    assert remarks == {"ops": ["a: b: CONV_2D a4 w4"], "tile_grid": "2x1"}
    options = decode_options(encode_options(stage_options(**remarks)))
    assert layers_of(options) == ["a: b"] and layers_of(stage_options()) == []
    assert StageProgram.decode(options, filters, words).patch_classes == STAGE.patch_classes
    with pytest.raises(UsageError, match="has the key ops, which no supported version has"):
        StageProgram.decode({**options, "version": 2}, filters, words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "has version 1; supported are 2 and 3"),
        ({"version": 4}, "has version 4; supported are 2 and 3"),
        ({"num_inputs": 9}, "of version 3 has num_inputs 9; supported is to leave it out, or 1 to 8"),
        ({"num_inputs": 2}, "holds a malformed program: .* 2 maps one after the other behind 2 inputs"),
        ({"version": 2, "num_inputs": 1}, "of version 2 has num_inputs 1"),
        ({"num_outputs": 2}, "of version 3 has num_outputs 2"),
        ({"span_tables": 1}, "of version 3 has span_tables 1"),
        ({"version": 2, "span_tables": 0}, "of version 2 has span_tables 0"),
        ({"novelty": 0}, "has the key novelty, which no supported version has"),
    ],
)
def test_a_stage_with_what_we_do_not_know_is_refused(changes: dict[str, int], message: str) -> None:
    _, filters, words = STAGE.encode()
    with pytest.raises(UsageError, match=f"QMCU_PATCH_STAGE {message}"):
        StageProgram.decode(stage_options(**changes), filters, words)


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        (0, 99, r"an op of kind 99; supported are 0 to \d+$"),
        (0, -1, "an op of kind -1"),
        (12, 0x104, "a filter of layout 1; supported is 0"),
    ],
)
def test_an_op_of_a_later_kind_or_layout_is_refused(word: int, value: int, message: str) -> None:
    options, filters, words = STAGE.encode()
    words[word] = value
    with pytest.raises(UsageError, match=message):
        StageProgram.decode(options, filters, words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 4}, "has version 4; supported are 2 and 3"),
        ({"filter_layout": 1}, "of version 3 has filter_layout 1; supported is to leave it out"),
        ({"version": 2, "filter_layout": 0}, "of version 2 has filter_layout 0"),
        ({"num_inputs": 1}, "has the key num_inputs"),
    ],
)
def test_an_op_with_what_we_do_not_know_is_refused(changes: dict[str, int], message: str) -> None:
    options = encode_options({**CONV_2D.options(), **changes})
    with pytest.raises(UsageError, match=f"QMCU_CONV_2D {message}"):
        calls_of(GRAPH, conv_2d(options))


def test_the_target_of_a_file_is_read_and_an_unknown_one_is_refused() -> None:
    net = TinyModel()
    model = net.build(net.relu(net.input((1, 4, 4, 2))))
    assert read_model(model).target is None
    assert read_model(with_metadata(model, {"QUANTMCU_TARGET": b"cortex-m4"})).target == "cortex-m4"
    with pytest.raises(UsageError, match="QUANTMCU_TARGET is 'cortex-m99'; supported are cortex-m0plus, cortex-m3"):
        read_model(with_metadata(model, {"QUANTMCU_TARGET": b"cortex-m99"}))
