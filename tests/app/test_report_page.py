"""The report's page as Chromium shows it: no errors, sorting, filtering, folding, dark, narrow, printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks
from tests.support.chromium import DARK, look, printed, skip_without_browser
from tests.support.plans import mixed
from tflm_quantmcu.app import api
from tflm_quantmcu.app.report import ConversionReport
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

MODEL = networks.inverted_residual()
MOST_BYTES = 1_500_000
# The layers that a reader sees, in order.
SHOWN = """const shown = () => Array.from(document.querySelectorAll("#layer-table tbody tr:not(.stage-row)"))
  .filter(row => row.offsetParent !== null).map(row => row.querySelector("th").firstChild.textContent);
const click = (element) => element.dispatchEvent(new MouseEvent("click", {bubbles: true}));
const heading = (name) => Array.from(document.querySelectorAll("#layer-table thead button"))
  .find(button => button.textContent === name);
"""


@pytest.fixture(scope="module")
def report() -> ConversionReport:
    graph = canonical(ModelFile(MODEL)).graph
    x = np.random.default_rng(0).integers(-128, 128, (4, *graph.input_tensors[0].shape[1:])).astype(np.int8)
    plan = mixed(graph, 1)
    return api.convert(MODEL, calibration_data=x, plan=plan, sram_bytes=64 * 1024, progress=False).report


@pytest.fixture(scope="module")
def page(report: ConversionReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.with_command("tflm_quantmcu convert --model=m.tflite").save_html(path)
    return path


@pytest.fixture
def browser() -> None:
    skip_without_browser()


def test_the_page_needs_nothing_else(page):
    text = page.read_text()
    assert len(text.encode()) < MOST_BYTES
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text) == [] and "@import" not in text


def test_json_has_what_the_page_shows(report, tmp_path):
    report.save_json(tmp_path / "r.json")
    fields = json.loads((tmp_path / "r.json").read_text())
    names = [row["layer"] for row in fields["layers"]]
    assert len(names) == len(canonical(ModelFile(MODEL)).graph.ops)
    assert {row["stage"] for row in fields["layers"]} == {0, None}
    inside = [row for row in fields["layers"] if row["stage"] == 0]
    assert any(4 in row["map_bits"] or 2 in row["map_bits"] for row in inside)
    assert all(row["sqnr_db"] is None or row["sqnr_db"] > 0 for row in fields["layers"])
    assert sum(row["macs"] for row in fields["layers"]) == fields["before"]["macs"]
    assert fields["arena_plot"]["after"]["num_bytes"] == fields["after"]["host_nonpersistent_bytes"]
    assert fields["headline"]["text"].startswith("fits: ") and fields["headline"]["level"] == "doubtful"
    assert fields["patches"][0]["tiles"] and fields["front"] and fields["why_not_smaller"] and fields["command"]


def test_the_terminal_shows_the_headline_and_the_layers(report):
    text = str(report)
    assert text.startswith(f"{report.first_line.text}\n")
    assert all(row.layer in text for row in report.details.layers)


def test_it_opens_without_errors_and_says_the_headline(page, report, browser):
    found = look(
        page, 'return [document.querySelector(".verdict").innerText, document.querySelectorAll("svg").length];'
    )
    assert "Fits:" in found[0] and f"{report.converted.arena_bytes:,} of 65,536 bytes" in found[0]
    assert found[1] >= 5  # arenas, patches, front


def test_layers_are_sorted_filtered_and_folded(page, report, browser):
    names, cycles = zip(*((row.layer, row.cycles) for row in report.details.layers), strict=True)
    script = f"""{SHOWN} const all = shown();
    click(heading("cycles")); const falling = shown(); click(heading("cycles")); const rising = shown();
    const mark = heading("cycles").closest("th").getAttribute("aria-sort"); click(heading("#"));
    const words = document.getElementById("layer-table-words");
    words.value = all[2]; words.dispatchEvent(new Event("input")); const filtered = shown();
    words.value = ""; words.dispatchEvent(new Event("input"));
    click(document.querySelector(".stage-row button")); const folded = shown();
    const open = document.querySelector(".stage-row button").getAttribute("aria-expanded");
    return [all, falling, rising, mark, filtered, folded, open,
      document.getElementById("layer-table-status").textContent];"""
    every, falling, rising, mark, filtered, folded, is_open, status = look(page, script)
    outside = [row.layer for row in report.details.layers if row.stage is None]
    assert every == list(names)
    by_cycles = dict(zip(names, cycles, strict=True))
    assert [by_cycles[n] for n in falling] == sorted(cycles, reverse=True)
    assert [by_cycles[n] for n in rising] == sorted(cycles)
    assert mark == "ascending" and names[2] in filtered and len(filtered) < len(names)
    assert folded == outside and is_open == "false" and status == f"{len(outside)} of {len(names)} layers"


def test_dark_and_light_have_their_colours(page, browser):
    script = """const style = getComputedStyle(document.body); return [style.backgroundColor, style.color].map(
      colour => colour.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0));"""
    light, dark = look(page, script), look(page, script, colours=DARK)
    assert light[0] > 700 > 300 > light[1] and dark[0] < 120 and dark[1] > 600


def test_390_pixels_need_no_scrolling_to_the_side(page, browser):
    script = """document.querySelectorAll("details").forEach(details => details.open = true);
    const width = document.documentElement.clientWidth;
    const wide = Array.from(document.querySelectorAll("main *, header *")).filter(
      e => e.getBoundingClientRect().right > width + 1 && e.getBoundingClientRect().left >= 0 && !e.closest("svg"));
    return [innerWidth, document.documentElement.scrollWidth, wide.map(e => e.tagName + " " + e.className)];"""
    width, scrolled, wide = look(page, script, width=390)
    assert (width, scrolled, wide) == (390, 390, [])


def test_keyboard_and_screen_readers_find_their_way(page, browser):
    script = """const bare = Array.from(document.querySelectorAll("table")).filter(
      t => !t.caption || Array.from(t.querySelectorAll("th")).some(h => !h.scope));
    const silent = Array.from(document.querySelectorAll("svg:not([aria-hidden])")).filter(
      s => s.getAttribute("role") !== "img" || !(s.getAttribute("aria-label") || s.querySelector("title")));
    const unnamed = Array.from(document.querySelectorAll("input, select, button")).filter(
      e => !e.hidden && !(e.labels && e.labels.length) && !e.textContent.trim());
    const ids = Array.from(document.querySelectorAll("[id]")).map(e => e.id);
    return [bare.length, silent.length, unnamed.length, document.documentElement.lang, document.title !== "",
      ids.length === new Set(ids).size, document.querySelector("a.skip").getAttribute("href")];"""
    assert look(page, script) == [0, 0, 0, "en", True, True, "#content"]


def test_it_prints_on_a4(page, browser):
    pdf = printed(page)
    sizes = {tuple(map(float, box)) for box in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)}
    assert sizes and all(abs(w - 595) < 2 and abs(h - 842) < 2 for w, h in sizes)
