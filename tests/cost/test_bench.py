"""bench: what images print becomes rows, rows become CSV, and CSV becomes ratios."""

import dataclasses
from pathlib import Path

import pytest

from tflm_quantmcu.base.errors import QuantMcuError, UsageError
from tflm_quantmcu.cost import bench
from tflm_quantmcu.cost.bench import BenchRow
from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.cost.shapes import KernelShape

OUTPUT = """\
CASE,reference,add,a4,28x28x32,28x28x32,1x1,1x1,0x0,3617988,3407419588
CASE,dsp,conv2d,a4w2,4x5x6,2x3x8,3x3,2x1,1x0,864,7
INSTRUCTIONS=12
"""
WORK = [Work(3617988, 10, 20, 30, 5000000), Work(864, 1, 2, 3, 1000)]
TEXT_BYTES = {"add": 400, "conv2d": 500, "conv2d_dsp": 9000}


def rows_of_output() -> list[BenchRow]:
    return bench.parse_output(OUTPUT, WORK, core="m4", text_bytes=TEXT_BYTES)


def test_parse_reads_every_case_line_and_nothing_else():
    add, conv2d = rows_of_output()
    assert add == BenchRow(
        "m4", "reference", "a4", KernelShape("add", (28, 28, 32), (28, 28, 32)), WORK[0], 3407419588, 400
    )
    assert conv2d.shape == KernelShape("conv2d", (4, 5, 6), (2, 3, 8), (3, 3), (2, 1), (1, 0))
    assert (conv2d.tag, conv2d.instructions, conv2d.crc32, conv2d.text_bytes) == ("a4w2", 864, 7, 9000)


def test_blocks_that_do_not_add_up_to_the_count_of_the_image_are_refused():
    # The image's count stands where the two differ by less than a hundredth.
    near = [WORK[0], dataclasses.replace(WORK[1], instructions=860)]
    assert bench.parse_output(OUTPUT, near, core="m4", text_bytes=TEXT_BYTES)[1].instructions == 864
    far = [WORK[0], dataclasses.replace(WORK[1], instructions=800)]
    with pytest.raises(QuantMcuError, match="blocks of code add up to 800 instructions in CASE,dsp,conv2d"):
        bench.parse_output(OUTPUT, far, core="m4", text_bytes=TEXT_BYTES)


def test_work_is_macs_or_output_values():
    add, conv2d = rows_of_output()
    assert add.shape.work == 28 * 28 * 32
    assert conv2d.shape.work == 2 * 3 * 8 * 3 * 3 * 6
    assert conv2d.per_unit == 864 / 2592
    depthwise = KernelShape("depthwise_conv2d", (4, 4, 6), (2, 2, 6), (3, 3))
    assert depthwise.work == 2 * 2 * 6 * 9
    pool = KernelShape("max_pool2d", (4, 4, 6), (2, 2, 6), (2, 2), (2, 2))
    assert (pool.work, pool.products_per_output) == (24, 4)


def test_csv_can_be_read_again():
    rows = rows_of_output()
    text = bench.to_csv(rows)
    assert text.splitlines()[0].startswith("core,variant,op,tag,input,output,kernel,stride,pad,work,instructions")
    assert text.splitlines()[2] == "m4,dsp,conv2d,a4w2,4x5x6,2x3x8,3x3,2x1,1x0,2592,864,0.333,1,2,3,1000,00000007,9000"
    assert bench.from_csv(text) == rows


def test_variants_that_differ_in_a_byte_are_refused():
    row = rows_of_output()[0]
    other = dataclasses.replace(row, variant="dsp", crc32=1)
    bench.check_equal_outputs([row, dataclasses.replace(other, crc32=row.crc32)])
    with pytest.raises(QuantMcuError, match="dsp and reference differ in the output of add a4 on 28x28x32"):
        bench.check_equal_outputs([row, other])


def test_ratio_is_the_geometric_mean_over_the_baseline_of_that_network_and_core():
    baseline = (
        "network,op,input,output,kernel,stride,pad,m4_instructions,m55_instructions\n"
        "net,add,2x2x4,2x2x4,1x1,1x1,0x0,1000,100\n"
        "net,conv2d,2x2x4,2x2x8,1x1,1x1,0x0,1000,100\n"
        "other,add,3x3x4,3x3x4,1x1,1x1,0x0,1,1\n"
    )
    add = KernelShape("add", (2, 2, 4), (2, 2, 4))
    conv2d = KernelShape("conv2d", (2, 2, 4), (2, 2, 8))
    rows = [
        BenchRow("m7", "dsp", "a8", add, Work(250), 0, 0),
        BenchRow("m7", "dsp", "a8w8", conv2d, Work(1000), 0, 0),
        BenchRow("m7", "reference", "a8w8", conv2d, Work(9000), 0, 0),
    ]
    ratios = bench.baseline_ratios(rows, baseline, core="m7", network="net")
    assert ratios["a8w8"] == pytest.approx(0.5)
    assert (ratios["add a8"], ratios["conv2d a8w8"]) == (0.25, 1.0)
    assert bench.baseline_ratios(rows, baseline, core="m3", network="net") == {}


def test_an_unknown_core_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--core is m5; supported are cortex-m0plus, cortex-m3"):
        bench.bench("m5", output=tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_every_baseline_figure_has_its_shape_in_the_network_file():
    root = Path(bench.__file__).parents[2]
    for line in (root / bench.BASELINE).read_text().splitlines()[1:]:
        network, *shape, _, _ = line.split(",")
        shapes = (root / f"tflm_kernels/benchmarks/shapes/{network}.txt").read_text().splitlines()
        assert " ".join(shape) in shapes
