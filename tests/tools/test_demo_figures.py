"""README's figures of `make demo` are those of a run: the weights are kept, so each is the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the demo's data need scikit-learn: pip install -e .[demo]")
pytest.importorskip("tensorflow", reason="the demo's float network needs TensorFlow: pip install -e .[keras]")

from tflm_quantmcu.app.demo import FOLDER
from tools.demo import demo

ROOT = Path(__file__).resolve().parents[2]
FLOAT_CANVASES = 1  # by which the float network's may differ: floats are summed otherwise on another processor


@pytest.mark.long
def test_readme_has_the_figures_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    rows = demo.compare(FOLDER, demo.NUM_SAMPLES)
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    expected = demo.markdown(rows)
    start = next(i for i, line in enumerate(lines) if line.startswith("| float32 Keras "))
    name, accuracy, *rest = (cell.strip() for cell in lines[start].split("|")[1:-1])
    is_float_so = [name, *rest] == [cell.strip() for cell in expected[0].split("|")[1:-1] if "%" not in cell]
    if lines[start + 1 : start + len(rows)] != expected[1:] or not is_float_so:
        pytest.fail(
            "README's table is not what a run gives (build/demo/table.md):\n" + "\n".join(expected), pytrace=False
        )
    assert abs(float(accuracy.rstrip(" %")) / 100 - rows[0].accuracy) <= (FLOAT_CANVASES + 0.5) / demo.NUM_SAMPLES
