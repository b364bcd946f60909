"""What users get for wrong input: one sentence, the documented exit code, and no file left behind."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.plans import split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu import cli
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan, RoundedWeights
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()


def _as_float(model: bytes) -> bytes:
    """The model with every int8 feature map declared float32, without scales."""
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    for tensor in tree.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8 and tree.buffers[tensor.buffer].data is None:
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    return _packed(tree)


def _packed(tree: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _dynamic(model: bytes) -> bytes:
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    tensor.shapeSignature = [1, -1, -1, 3]
    return _packed(tree)


def _two_inputs() -> bytes:
    net = TinyModel()
    return net.build(net.add(net.input((1, 8, 8, 2)), net.input((1, 8, 8, 2))))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with good and bad files."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 24, 24, 3)).astype(np.float32)
    (tmp_path / "good.tflite").write_bytes(MODEL)
    (tmp_path / "truncated.tflite").write_bytes(MODEL[: len(MODEL) // 2])
    (tmp_path / "text.tflite").write_text("this is no flatbuffer, however long it may be")
    (tmp_path / "float.tflite").write_bytes(_as_float(MODEL))
    (tmp_path / "dynamic.tflite").write_bytes(_dynamic(MODEL))
    (tmp_path / "two_inputs.tflite").write_bytes(_two_inputs())
    np.savez(tmp_path / "good.npz", x=x, y=np.arange(8) % 5)
    np.savez(tmp_path / "nokey.npz", images=x)
    np.savez(tmp_path / "shape.npz", x=x[:, :10])
    np.savez(tmp_path / "dtype.npz", x=x.astype(np.int64))
    np.savez(tmp_path / "nan.npz", x=np.where(x > 1, np.nan, x))
    np.savez(tmp_path / "empty.npz", x=x[:0])
    np.savez(tmp_path / "labels.npz", x=x, y=np.arange(3))
    np.savez(tmp_path / "unlabelled.npz", x=x)
    (tmp_path / "nozip.npz").write_bytes(b"PK but not really")
    (tmp_path / "plan.json").write_text("{]")
    (tmp_path / "rules.yaml").write_text("- {match: no such, weight_bits: 4}")
    (tmp_path / "plan_other.json").write_text(PrecisionPlan("0" * 64, {"method": "uniform"}).to_json())
    graph = read_model(MODEL)
    (tmp_path / "converted.tflite").write_bytes(convert_model(MODEL, split(graph)))
    (tmp_path / "plan_softmax.json").write_text(_softmax_plan(graph))
    (tmp_path / "plan_bomb.json").write_text(_bomb_plan(graph))
    return tmp_path


def _softmax_plan(graph) -> str:
    """A stage that runs on into an op that has no kernel of ours."""
    names = [graph.tensors[op.outputs[0]].name for op in graph.ops if op.kind in ("CONV_2D", "SOFTMAX")]
    stage = {"input": graph.tensors[graph.inputs[0]].name, "output": names[-1], "tile_height": 1, "tile_width": 1}
    stage |= {"patch_classes": [[0]], "classes": [{"name": "outlier", "formats": {}}]}
    head = {"version": 1, "model_sha256": graph.sha256, "search": {"method": "uniform"}}
    return json.dumps({**head, "stages": [stage], "formats": {}, "weight_bits": {}, "notes": []})


def _bomb_plan(graph) -> str:
    """Weights that are small as zlib data alone."""
    weights = graph.tensors[graph.ops[0].inputs[1]].name
    rounded = {weights: RoundedWeights.of(4, np.ones(graph.by_name[weights].shape[0]), np.zeros(1 << 26, np.int8))}
    search = {"method": "uniform"}
    return PrecisionPlan(graph.sha256, search, weight_bits={weights: 4}, rounded_weights=rounded).to_json()


CONVERT = "convert --output out.tflite --model "
MEMORY_DRIVEN = CONVERT + "good.tflite --calibration_data good.npz --search memory_driven "
TABLE = [
    # arguments, exit code, part of the sentence
    ("", 0, "usage"),
    ("fly", 2, "no command 'fly'"),
    ("convert --model good.tflite", 2, "--output is missing"),
    (CONVERT + "good.tflite --seach vdqs", 2, "seach"),
    (CONVERT + "good.tflite extra", 2, "'extra' is not a flag"),
    (CONVERT + "good.tflite --search annealing", 2, "--search is annealing; supported are .*vdqs"),
    (CONVERT + "good.tflite --search uniform --activation_bits 3", 2, "--activation_bits is 3; supported are 8, 4, 2"),
    (CONVERT + "good.tflite --sram_bytes lots", 2, "sram_bytes"),
    (CONVERT + "good.tflite --sram_bytes -1", 2, "--sram_bytes is -1"),
    (CONVERT + "good.tflite --vdqs_lambda 2", 2, "--vdqs_lambda is 2.0; it must be from 0 to 1"),
    (CONVERT + "good.tflite --objective bit_ops", 2, "pass --calibration_data or --calibration"),
    (CONVERT + "good.tflite --objective cycles --vdqs_lambda 0.4", 2, "which --objective cycles does not"),
    (CONVERT + "good.tflite --objective macs", 2, "--objective is macs; supported are cycles, bit_ops"),
    (CONVERT + "absent.tflite", 2, "--model absent.tflite cannot be read"),
    (CONVERT + "truncated.tflite", 3, ""),
    (CONVERT + "text.tflite", 3, ""),
    (CONVERT + "float.tflite --search uniform", 3, "float32"),
    (CONVERT + "dynamic.tflite --search uniform", 3, "dynamic|-1"),
    (CONVERT + "two_inputs.tflite --calibration_data good.npz", 3, "has 2 inputs.*give no calibration"),
    (CONVERT + "converted.tflite", 3, "converted already"),
    (CONVERT + "converted.tflite --calibration_data good.npz --search memory_driven", 3, "converted already"),
    (CONVERT + "converted.tflite --calibration_data good.npz --objective bit_ops", 3, "converted already"),
    (CONVERT + "good.tflite --calibration_data nokey.npz", 2, "nokey.npz has no key x"),
    (CONVERT + "good.tflite --calibration_data shape.npz", 2, "shape"),
    (CONVERT + "good.tflite --calibration_data dtype.npz", 2, "int64"),
    (CONVERT + "good.tflite --calibration_data nan.npz", 2, "not finite"),
    (CONVERT + "good.tflite --calibration_data empty.npz", 2, "empty"),
    (CONVERT + "good.tflite --calibration_data nozip.npz", 2, "not a readable .npz"),
    (CONVERT + "good.tflite --calibration_data absent.npz", 2, "absent.npz cannot be read"),
    (CONVERT + "good.tflite --calibration good.npz", 2, "good.npz"),
    (CONVERT + "good.tflite --calibration_method guess", 2, "--calibration_method is guess; supported are own, minmax"),
    (CONVERT + "good.tflite --calibration_percentile 0.5", 2, "--calibration_percentile is 0.5; it must be above 50"),
    (CONVERT + "good.tflite --search uniform --sram_bytes 100", 4, "the smallest arena reached is"),
    (CONVERT + "good.tflite --calibration_data good.npz --sram_bytes 100", 4, "the smallest arena reached is"),
    (CONVERT + "good.tflite --search uniform --flash_bytes 100", 4, "--flash_bytes is 100"),
    ("plan --model good.tflite --search uniform --output p.json --flash_bytes 100", 4, "the smallest reached is"),
    (
        "plan --model good.tflite --calibration_data good.npz --output p.json --flash_bytes 100",
        4,
        "--flash_bytes is 100",
    ),
    (MEMORY_DRIVEN + "--sram_bytes 100", 4, "the smallest arena reached is"),
    (MEMORY_DRIVEN + "--flash_bytes 100", 4, "the smallest model reached is"),
    (CONVERT + "good.tflite --search memory_driven --sram_bytes 100", 2, "pass --calibration_data or --calibration"),
    (CONVERT + "good.tflite --memory_driven_margin 2", 2, "--memory_driven_margin is 2.0; it must be from 0 to 1"),
    (CONVERT + "good.tflite --rl_episodes 0", 2, "--rl_episodes is 0; it must be at least 1"),
    (CONVERT + "good.tflite --rl_warmup_episodes -1", 2, "--rl_warmup_episodes is -1; it must be at least 0"),
    (CONVERT + "good.tflite --rl_min_bits 3", 2, "--rl_min_bits is 3; supported are 8, 4, 2"),
    (CONVERT + "good.tflite --rl_episodes 9", 2, "--rl_episodes is used by --search rl alone, not by vdqs"),
    (CONVERT + "good.tflite --search rl --vdpc off", 2, "--vdpc is used by --search vdqs alone, not by rl"),
    (CONVERT + "good.tflite --pinned_layers middle", 2, "--pinned_layers is middle; supported are none, first, last"),
    (CONVERT + "good.tflite --precision_overrides absent.yaml", 2, "--precision_overrides absent.yaml cannot be read"),
    (CONVERT + "good.tflite --search uniform --precision_overrides rules.yaml", 2, "'no such' is the whole name of no"),
    (CONVERT + "good.tflite --plan plan.json", 2, "the plan cannot be read"),
    (CONVERT + "good.tflite --plan plan_other.json", 2, "the plan was made for the model with SHA-256"),
    (CONVERT + "good.tflite --plan plan_other.json --search vdqs", 2, "was made with --search uniform, not vdqs"),
    (CONVERT + "good.tflite --plan plan_softmax.json", 3, "cannot become a QMCU_ op"),
    (CONVERT + "good.tflite --plan plan_bomb.json", 2, "the plan rounds more than"),
    ("convert --model good.tflite --search uniform --output nowhere/out.tflite", 2, "cannot be written"),
    ("evaluate --model good.tflite --data unlabelled.npz", 2, "unlabelled.npz has no labels"),
    ("evaluate --model good.tflite --data labels.npz", 2, "key y of labels.npz"),
    ("run --model text.tflite --inputs good.npz --outputs out.npz", 3, ""),
    ("inspect --model truncated.tflite", 3, ""),
    ("calibrate --model good.tflite --calibration_data shape.npz --output out.npz", 2, "shape"),
]


@pytest.mark.parametrize(("arguments", "exit_code", "sentence"), TABLE)
def test_table(arguments: str, exit_code: int, sentence: str, folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.rglob("*"))
    try:
        cli.main(arguments.split())
        code = 0
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert code == exit_code, captured.err
    if exit_code:
        message = captured.err.strip().splitlines()[-1]
        assert message.startswith("tflm_quantmcu: ") and re.search(sentence, message), message
        assert "Traceback" not in captured.err
    assert set(folder.rglob("*")) == before


def test_missing_op_library_names_the_remedy(folder) -> None:
    """The process is its own: a library that was loaded once stays. Nothing is calibrated before it is missed."""
    calibrated = "good.tflite --search uniform --calibration_data good.npz"
    command = [sys.executable, "-m", "tflm_quantmcu.cli", *(CONVERT + calibrated).split()]
    root = pathlib.Path(__file__).parents[2]
    environment = {"PYTHONPATH": str(root), "TFLM_QUANTMCU_OPS": str(folder / "absent.so"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "make ops" in done.stderr and "Traceback" not in done.stderr and "calibrating" not in done.stderr
    assert not (folder / "out.tflite").exists()


def test_a_keras_model_without_tensorflow_names_the_remedy(folder) -> None:
    """The process is one in which TensorFlow cannot be imported."""
    (folder / "m.keras").write_bytes(b"")
    code = "import sys; sys.modules['tensorflow'] = None; from tflm_quantmcu import cli; cli.main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *(CONVERT + "m.keras --calibration_data good.npz").split()]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Keras models need TensorFlow" in done.stderr and "Traceback" not in done.stderr
    assert "pip install 'tflm_quantmcu[keras]'" in done.stderr
