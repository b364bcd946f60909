"""The picture of MobileNetV2: bars as long as bytes are many, and README says what it shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.demo.mobilenet_v2 import LARGEST_SRAM, PICTURE, Bar, draw

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
BARS = (
    Bar("cortex-m4", "stock TFLM", 2 * LARGEST_SRAM),
    Bar("cortex-m4", "split, 8 bits", LARGEST_SRAM // 2, 1.05),
    Bar("cortex-m55", "stock TFLM", LARGEST_SRAM),
)


def test_bars_are_as_long_as_bytes_are_many() -> None:
    root = ElementTree.fromstring(draw(BARS))
    lengths = [int(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect")]
    assert [round(length / lengths[0], 2) for length in lengths] == [1.0, 0.25, 0.5]
    assert "262,144 bytes, 1.05 x cycles" in [text.text for text in root.iter(f"{SVG}text")]


def test_the_line_of_the_largest_part_stands_where_its_bytes_are() -> None:
    root = ElementTree.fromstring(draw(BARS))
    (line,) = root.iter(f"{SVG}line")
    longest = next(root.iter(f"{SVG}rect")).attrib
    assert int(line.attrib["x1"]) - int(longest["x"]) == int(longest["width"]) // 2


@pytest.mark.long
def test_the_picture_shows_what_a_run_gives() -> None:
    done = subprocess.run([sys.executable, "-m", "tools.demo.mobilenet_v2", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_readme_says_what_the_picture_shows() -> None:
    shown = re.findall(r">([\d,]+) bytes", PICTURE.read_text("utf-8"))
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(shown) == 6
    assert all(number in readme for number in shown[:3])
