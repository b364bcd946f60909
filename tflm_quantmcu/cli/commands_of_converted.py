"""The commands that look at, run and emit a model as it is, converted or not."""

from __future__ import annotations

from tflm_quantmcu.cli import actions
from tflm_quantmcu.cli.command import OUTPUT, Command, Flag
from tflm_quantmcu.cli.shared_flags import CONVERTED, KERAS_CODE, output_dir

COMMANDS_OF_CONVERTED: dict[str, Command] = {
    "inspect": Command(
        "prints a model's ops, stages, patches, classes, bits and bytes",
        actions.inspect,
        (
            CONVERTED,
            Flag(
                "memory",
                "Draws the arena, lifetime x offset, as text.",
                "draws the arena as text",
                bool,
                False,
                OUTPUT,
            ),
            Flag(
                "why",
                "Says which op keeps the arena large, why no patch stage holds it, and what would help.",
                "what keeps the arena large",
                bool,
                False,
                OUTPUT,
            ),
            Flag(
                "memory_png",
                "Where to draw the arena, lifetime x offset (.png); implies --memory.",
                "draws the arena, .png",
                group=OUTPUT,
            ),
            Flag(
                "branches_dir",
                "Folder for each patch's dataflow branch as a small .tflite.",
                "each patch's branch as a .tflite",
                group=OUTPUT,
                value="DIR",
            ),
        ),
        ("model",),
        ("core", "board", "runtime", "stock_kernels"),
        example="m_qmcu.tflite --memory",
    ),
    "diff": Command(
        "compares two models layer by layer, inside patch stages too",
        actions.diff,
        (
            Flag(
                "reference",
                "What the model should compute: a .tflite, converted or not, .keras, .h5 or a SavedModel folder.",
                "what it should compute: a .tflite or a Keras model",
            ),
            Flag("model", "The .tflite that is judged.", "the .tflite that is judged"),
            Flag("data", "Inputs: .npz with x [N, H, W, C].", "inputs: .npz with x"),
            Flag(
                "original",
                "The int8 .tflite that both were converted from, if neither of them is it, or the calibration that it "
                "was made in: names and scales of maps inside stages are its.",
                "the int8 .tflite that they came from, or its calibration",
            ),
            *KERAS_CODE,
            Flag(
                "limit_db",
                "SQNR below which a layer is marked; without it 20, and any difference where both compute at 8 bits.",
                "SQNR below which a layer is marked",
                float,
                None,
                "what you want",
                "X",
            ),
            Flag("num_samples", "First samples of --data that are run.", "samples to run (16)", int, 16, value="N"),
            Flag(
                "core",
                "Also builds the model for this core, runs it in QEMU, and compares the CRC32 of "
                "every map with the host's.",
                "compares the host with a core in QEMU, such as cortex-m4",
                group="target",
                value="NAME",
            ),
            Flag("output_json", "Where to write the figures (.json).", "the figures, .json", group=OUTPUT),
            Flag("report", "Where to write the table as a page (.html).", "the table as a page, .html", group=OUTPUT),
        ),
        ("reference", "model", "data"),
        positional=("reference", "model"),
        example="m.tflite m_qmcu.tflite --data x.npz",
    ),
    "run": Command(
        "runs a model on TFLM",
        actions.run,
        (
            CONVERTED,
            Flag("inputs", ".npz with x [N, H, W, C].", ".npz with x [N, H, W, C]"),
            Flag(
                "outputs",
                "Where to write the raw outputs (.npz with y; of several outputs y0, y1, ...).",
                "the raw outputs, .npz with y",
                group=OUTPUT,
            ),
        ),
        ("model", "inputs", "outputs"),
        example="m_qmcu.tflite --inputs x.npz --outputs y.npz",
    ),
    "evaluate": Command(
        "prints a model's accuracy on TFLM",
        actions.evaluate,
        (CONVERTED, Flag("data", ".npz with x [N, H, W, C] and labels y [N].", ".npz with x and y")),
        ("model", "data"),
        ("n_jobs", "progress"),
        example="m_qmcu.tflite --data xy.npz",
    ),
    "emit": Command(
        "writes a C++ project that runs a model on a device",
        actions.emit,
        (
            CONVERTED,
            Flag(
                "inputs",
                ".npz or saved calibration: its first 8 samples are the test's; what it lacks is random.",
                ".npz with samples for its test",
            ),
            Flag(
                "target",
                "aot: C++ without TFLM, a static memory plan (default); tflm: a project for the interpreter.",
                "C++ without TFLM (default), or for its interpreter",
                group="target",
                value="aot|tflm",
            ),
            Flag(
                "core",
                "What it is built for: host (default), cortex-m0plus, -m3, -m4, -m7, -m33 or -m55.",
                "host (default), or such as cortex-m4",
                group="target",
                value="NAME",
            ),
            output_dir("Where to write the project.", "the project"),
            Flag("name", "C++ name of the model; else made of the file's name.", group=OUTPUT, value="NAME"),
            Flag(
                "bundle",
                "The project refers to a checkout, instead of having a copy of the kernels.",
                kind=bool,
                default=True,
                group=OUTPUT,
            ),
        ),
        ("model", "output_dir"),
        example="m_qmcu.tflite --core cortex-m4 --output_dir firmware",
    ),
}
