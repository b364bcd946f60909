"""The commands that take no model of the user's."""

from __future__ import annotations

from tflm_quantmcu.cli import actions
from tflm_quantmcu.cli.command import OUTPUT, Command, Flag
from tflm_quantmcu.cli.shared_flags import output, output_dir

COMMANDS_WITHOUT_MODEL: dict[str, Command] = {
    "sources": Command(
        "copies the C++ sources for a firmware project",
        actions.sources,
        (
            output_dir(
                "Folder that becomes QUANTMCU_DIR of emitted projects.", "becomes QUANTMCU_DIR of emitted projects"
            ),
        ),
        ("output_dir",),
        positional=("output_dir",),
        example="quantmcu",
    ),
    "demo": Command(
        "converts and runs a small network that comes with the package",
        actions.demo,
        (
            output_dir(
                "Folder for the model, its samples, the converted model and the report; made where it is missing.",
                "for model, samples, converted model and report",
                default="tflm_quantmcu_demo",
            ),
            Flag("open", "Opens the report in a browser.", "opens the report in a browser", bool, False, OUTPUT),
        ),
        (),
        ("sram_bytes", "core", "board", "progress"),
        positional=("output_dir",),
        example="--core cortex-m4 --sram_bytes 48KB",
    ),
    "doctor": Command("says what is installed, what is missing, and how to get it", actions.doctor, positional=()),
    "bench": Command(
        "measures the kernels of a core in QEMU",
        actions.bench,
        (
            Flag(
                "core",
                "cortex-m0plus, -m3, -m4, -m7, -m33 or -m55.",
                "such as cortex-m4",
                group="target",
                value="NAME",
            ),
            output(
                "Where to write the counts (.csv); those in tflm_quantmcu/cost/data/ feed the estimates.",
                "the counts, .csv",
            ),
        ),
        ("core", "output"),
        positional=("core",),
        example="cortex-m4 --output m4.csv",
    ),
}
