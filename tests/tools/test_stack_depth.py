"""Stack by the compiler's call graphs: paths add up, and our entries stay below what docs/memory.md states."""

from __future__ import annotations

import csv
import re

import pytest

from tests.support.cortex_m import ROOT, skip_without_tools
from tflm_quantmcu.app.reserve import OPS_STACK_BYTES
from tflm_quantmcu.graph.target import variant_of
from tools.stack_depth import ENTRIES, TABLE, CallGraph, call_graph, stack_of_entries, stack_of_units

GRAPH = r"""
node: { title: "_Z4Evalv" label: "int Eval()\nfile.cc:1:1\n100 bytes (static)" }
node: { title: "file.cc:_Z3Runv" label: "int Run()\nfile.cc:2:1\n40 bytes (static)" }
node: { title: "_Z6Kernelv" label: "int Kernel()\nfile.cc:3:1\n8 bytes (static)" }
node: { title: "__indirect_call" label: "Indirect Call Placeholder" shape : ellipse }
node: { title: "memcpy" label: "memcpy" shape : ellipse }
edge: { sourcename: "_Z4Evalv" targetname: "file.cc:_Z3Runv" label: "file.cc:1:2" }
edge: { sourcename: "file.cc:_Z3Runv" targetname: "__indirect_call" label: "file.cc:2:2" }
edge: { sourcename: "_Z4Evalv" targetname: "_Z6Kernelv" label: "file.cc:1:3" }
edge: { sourcename: "_Z6Kernelv" targetname: "memcpy" label: "file.cc:3:2" }
"""
PART = "_ZN8quantmcu3dsp12_GLOBAL__N_14PartEv"
TAKEN = f"00000020  00005a02 R_ARM_ABS32            00000001   {PART}\n"
AGAIN = 'edge: { sourcename: "_Z6Kernelv" targetname: "_Z4Evalv" label: "file.cc:3:3" }'


def test_the_deepest_path_counts() -> None:
    graph = CallGraph([(GRAPH, "")])
    assert graph.deepest("Kernel") == (8, "Kernel")
    assert graph.deepest("Eval") == (140, "Eval")
    assert graph.deepest("Eval", indirect=1000) == (1140, "Eval")
    assert graph.deepest("Eval|Run", indirect=5) == (145, "Eval")


def test_functions_whose_address_the_file_takes_may_be_called_by_pointer() -> None:
    part = f'node: {{ title: "{PART}" label: "void Part()\\nfile.cc:9:1\\n8 bytes (static)" }}'
    graph = CallGraph([(GRAPH + part, TAKEN)])
    assert graph.deepest("Eval") == (148, "Eval")
    assert graph.deepest("Eval", indirect=5) == (148, "Eval")
    assert graph.deepest("Eval", indirect=9) == (149, "Eval")


def test_a_function_of_a_template_has_another_title_where_it_is_called() -> None:
    other = 'edge: { sourcename: "_Z5Otherv" targetname: "_Z3Runv" label: "b.cc:1:1" }'
    node = r'node: { title: "_Z5Otherv" label: "int Other()\nb.cc:1:1\n8 bytes (static)" }'
    assert CallGraph([(GRAPH, ""), (node + other, "")]).deepest("Other", indirect=2) == (50, "Other")


def test_a_function_that_calls_itself_has_no_depth() -> None:
    with pytest.raises(RecursionError, match="_Z6Kernelv calls itself"):
        CallGraph([(GRAPH, ""), (AGAIN, "")]).deepest("Kernel")


def test_a_frame_without_a_fixed_size_is_refused() -> None:
    with pytest.raises(AssertionError, match="no fixed size"):
        CallGraph([(GRAPH.replace("40 bytes (static)", "40 bytes (dynamic)"), "")])


@pytest.mark.parametrize("core", ["m0plus", "m4"])
def test_entries_stay_below_what_is_stated(core: str) -> None:
    skip_without_tools()
    text = (ROOT / "docs/memory.md").read_text("utf-8")
    (row,) = re.findall(r"^\| at most \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    stated = dict(zip(ENTRIES, (int(cell.replace(",", "")) for cell in row), strict=True))
    assert stated == OPS_STACK_BYTES
    found = {entry: num_bytes for entry, num_bytes, _ in stack_of_entries(core)}
    assert found.keys() == stated.keys()
    assert all(64 < found[entry] <= stated[entry] for entry in ENTRIES), found


def test_the_table_of_emitted_code_is_of_these_kernels() -> None:
    skip_without_tools()
    rows = [row for row in csv.DictReader(TABLE.open()) if row["variant"] == variant_of("cortex-m4")]
    stated = {row["unit"]: int(row["bytes"]) for row in rows}
    found = stack_of_units(call_graph("m4"))
    assert found.keys() <= stated.keys()  # parts of kernels have frames of their own at some levels alone
    assert {unit: num_bytes for unit, num_bytes in found.items() if num_bytes > stated[unit]} == {}
