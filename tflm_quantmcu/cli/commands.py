"""The table of commands."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.cli import actions
from tflm_quantmcu.cli.command import OUTPUT, Command, Flag
from tflm_quantmcu.search.options import Options

_MODEL = Flag(
    "model",
    "Model: int8 .tflite, .keras, .h5 or a SavedModel folder.",
    "int8 .tflite, .keras, .h5, SavedModel folder",
)
_CONVERTED = Flag("model", "Model: a converted or any int8 .tflite.", "a converted or any int8 .tflite")
_DATA = Flag(
    "calibration_data",
    "Representative inputs: .npz with x [N, H, W, C].",
    "representative inputs: .npz with x [N, H, W, C]",
)
_CALIBRATION = Flag(
    "calibration",
    "Saved calibration, as `calibrate` or ActivationCalibrator wrote it.",
    "saved calibration, in place of the inputs",
)
_EVALUATION_DATA = Flag(
    "evaluation_data",
    "Labelled samples by which --max_accuracy_drop is kept: .npz with x and y. Judge the result by others.",
    "labelled samples: .npz with x and y",
)
_CHECKPOINT = Flag(
    "checkpoint",
    "Where a long run keeps its state, so that the same command goes on after a kill; default <output>.checkpoint, "
    "deleted at the end.",
    group=OUTPUT,
)
_KERAS_CODE = (
    Flag(
        "import",
        "Modules that define a Keras model's own layers; looked for in this folder too.",
        kind=list,
        default="",
        value="NAMES",
    ),
    Flag(
        "unsafe_lambda",
        "Runs the Python code that Lambda layers in the model file hold; if you trust it.",
        kind=bool,
        default=False,
    ),
)


def _output(help: str, brief: str) -> Flag:
    return Flag("output", help, brief, group=OUTPUT)


def _output_dir(help: str, brief: str) -> Flag:
    return Flag("output_dir", help, brief, group=OUTPUT, value="DIR")


_ALL_OPTIONS = tuple(field.name for field in dataclasses.fields(Options))

COMMANDS: dict[str, Command] = {
    "calibrate": Command(
        "measures a model's feature maps on representative inputs",
        actions.calibrate,
        (
            _MODEL,
            _DATA,
            *_KERAS_CODE,
            _output("Where to write the calibration (.npz).", "the calibration, .npz"),
            _CHECKPOINT,
        ),
        ("model", "calibration_data", "output"),
        ("calibration_method", "calibration_percentile", "max_samples", "seed", "n_jobs", "progress"),
        example="m.keras --calibration_data x.npz --output calibration.npz",
    ),
    "plan": Command(
        "decides patch stages and bit widths",
        actions.plan,
        (
            _MODEL,
            _DATA,
            _CALIBRATION,
            _EVALUATION_DATA,
            *_KERAS_CODE,
            _output("Where to write plan.json.", "plan.json"),
            Flag(
                "pareto",
                "Where to write what fewer bytes of arena cost in milliseconds (.csv, and a plot as .png beside it).",
                "a table of bytes against work, .csv",
                group=OUTPUT,
            ),
            _CHECKPOINT,
        ),
        ("model", "output"),
        _ALL_OPTIONS,
        example="m.tflite --sram_bytes 64KB --output plan.json",
    ),
    "convert": Command(
        "writes the converted .tflite, verified on TFLM",
        actions.convert,
        (
            _MODEL,
            _DATA,
            _CALIBRATION,
            _EVALUATION_DATA,
            *_KERAS_CODE,
            _output("Where to write the .tflite.", "the converted .tflite"),
            Flag(
                "plan",
                "plan.json: used if the file exists, else the plan is written there.",
                "plan.json, used or written",
                group=OUTPUT,
            ),
            Flag("report", "Where to write the report (.html).", "the report, .html", group=OUTPUT),
            Flag("report_json", "Where to write its figures (.json).", "its figures, .json", group=OUTPUT),
            _CHECKPOINT,
        ),
        ("model", "output"),
        _ALL_OPTIONS,
        example="m.keras --calibration_data x.npz --sram_bytes 64KB --output m_qmcu.tflite --report r.html",
    ),
    "finetune": Command(
        "trains a Keras model to live with a plan's widths",
        actions.finetune,
        (
            Flag("model", "Model: .keras or .h5.", "a .keras or .h5 file"),
            Flag("plan", "plan.json that was made for it.", "plan.json that was made for it"),
            Flag(
                "calibration",
                "Calibration that the plan was made with; else --calibration_data converts the model anew.",
                "calibration that the plan was made with",
            ),
            _DATA,
            Flag(
                "train_data",
                "Samples to train on: .npz with x and labels y; without y, towards the model's own outputs.",
                "samples to train on: .npz with x, and y if there are labels",
            ),
            *_KERAS_CODE,
            Flag("epochs", "Passes over the samples.", "passes over the samples (10)", int, 10, "training", "N"),
            Flag(
                "learning_rate",
                "Of Adam; halved at half of the epochs, a tenth at four fifths.",
                "of Adam (1e-4)",
                float,
                1e-4,
                "training",
                "X",
            ),
            Flag(
                "distill",
                "Train towards the model's own outputs, though there are labels.",
                kind=bool,
                default=False,
                group="training",
            ),
            _output_dir(
                "Folder for model.keras, plan.json and calibration.npz, for convert.",
                "for model.keras, plan.json and calibration.npz",
            ),
        ),
        ("model", "plan", "train_data", "output_dir"),
        ("max_samples", "seed", "progress"),
        example="m.keras --plan plan.json --calibration c.npz --train_data xy.npz --output_dir tuned",
    ),
    "compare": Command(
        "compares searches at several budgets on labelled samples",
        actions.compare,
        (
            _MODEL,
            _DATA,
            _CALIBRATION,
            _EVALUATION_DATA,
            Flag(
                "data",
                "Labelled samples that the plans are judged on: .npz with x and y.",
                "labelled samples to judge on: .npz with x and y",
            ),
            *_KERAS_CODE,
            Flag(
                "searches",
                "Names of searches.",
                "names of searches",
                list,
                "vdqs,memory_driven,rl,hybrid,uniform",
                "what you want",
                "NAMES",
            ),
            Flag(
                "sram_bytes",
                "Bounds on the RAM to reserve, as 65536 or 64KB; none is no bound.",
                "bounds on RAM: 32KB,64KB,none",
                list,
                "none",
                "what you want",
                "SIZES",
            ),
            Flag(
                "flash_bytes",
                "Bounds on the .tflite, as 1048576 or 1MB; none is no bound.",
                "bounds on flash",
                list,
                "none",
                "what you want",
                "SIZES",
            ),
            Flag("seeds", "Seeds of the searches.", kind=list, default="0", group="what you want", value="N,N"),
            _output_dir(
                "Folder for table.csv, plot.png and the plans; if killed, the same command goes on from it.",
                "for table.csv, plot.png and the plans",
            ),
        ),
        ("model", "data", "output_dir", "searches"),
        tuple(name for name in _ALL_OPTIONS if name not in actions.COMPARED),
        example="m.tflite --calibration_data x.npz --data xy.npz --sram_bytes 32KB,64KB --output_dir compared",
    ),
    "inspect": Command(
        "prints a model's ops, stages, patches, classes, bits and bytes",
        actions.inspect,
        (
            _CONVERTED,
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
        ("core", "board", "runtime"),
        example="m_qmcu.tflite --memory",
    ),
    "run": Command(
        "runs a model on TFLM",
        actions.run,
        (
            _CONVERTED,
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
        (_CONVERTED, Flag("data", ".npz with x [N, H, W, C] and labels y [N].", ".npz with x and y")),
        ("model", "data"),
        ("n_jobs", "progress"),
        example="m_qmcu.tflite --data xy.npz",
    ),
    "emit": Command(
        "writes a C++ project that runs a model on a device",
        actions.emit,
        (
            _CONVERTED,
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
            _output_dir("Where to write the project.", "the project"),
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
    "sources": Command(
        "copies the C++ sources for a firmware project",
        actions.sources,
        (
            _output_dir(
                "Folder that becomes QUANTMCU_DIR of emitted projects.", "becomes QUANTMCU_DIR of emitted projects"
            ),
        ),
        ("output_dir",),
        positional=("output_dir",),
        example="quantmcu",
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
            _output(
                "Where to write the counts (.csv); those in tflm_quantmcu/cost/data/ feed the estimates.",
                "the counts, .csv",
            ),
        ),
        ("core", "output"),
        positional=("core",),
        example="cortex-m4 --output m4.csv",
    ),
}
