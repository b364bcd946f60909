"""The table of commands: here those that make a plan or a model; the others stand in two files beside it."""

from __future__ import annotations

from tflm_quantmcu.cli import actions
from tflm_quantmcu.cli.command import OUTPUT, Command, Flag
from tflm_quantmcu.cli.commands_of_converted import COMMANDS_OF_CONVERTED
from tflm_quantmcu.cli.commands_without_model import COMMANDS_WITHOUT_MODEL
from tflm_quantmcu.cli.shared_flags import (
    ALL_OPTIONS,
    CALIBRATION,
    CHECKPOINT,
    DATA,
    EVALUATION_DATA,
    KERAS_CODE,
    MODEL,
    output,
    output_dir,
)

COMMANDS: dict[str, Command] = {
    "calibrate": Command(
        "measures a model's feature maps on representative inputs",
        actions.calibrate,
        (
            MODEL,
            DATA,
            *KERAS_CODE,
            output("Where to write the calibration (.npz).", "the calibration, .npz"),
            CHECKPOINT,
        ),
        ("model", "calibration_data", "output"),
        ("calibration_method", "calibration_percentile", "max_samples", "seed", "n_jobs", "progress"),
        example="m.keras --calibration_data x.npz --output calibration.npz",
    ),
    "plan": Command(
        "decides patch stages and bit widths",
        actions.plan,
        (
            MODEL,
            DATA,
            CALIBRATION,
            EVALUATION_DATA,
            *KERAS_CODE,
            output("Where to write plan.json.", "plan.json"),
            Flag(
                "pareto",
                "Where to write what fewer bytes of arena cost in milliseconds (.csv, and a plot as .png beside it).",
                "a table of bytes against work, .csv",
                group=OUTPUT,
            ),
            CHECKPOINT,
        ),
        ("model", "output"),
        ALL_OPTIONS,
        example="m.tflite --sram_bytes 64KB --output plan.json",
    ),
    "convert": Command(
        "writes the converted .tflite, verified on TFLM",
        actions.convert,
        (
            MODEL,
            DATA,
            CALIBRATION,
            EVALUATION_DATA,
            *KERAS_CODE,
            output("Where to write the .tflite.", "the converted .tflite"),
            Flag(
                "plan",
                "plan.json: used if the file exists, else the plan is written there.",
                "plan.json, used or written",
                group=OUTPUT,
            ),
            Flag("report", "Where to write the report (.html).", "the report, .html", group=OUTPUT),
            Flag("report_json", "Where to write its figures (.json).", "its figures, .json", group=OUTPUT),
            CHECKPOINT,
        ),
        ("model", "output"),
        ALL_OPTIONS,
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
            DATA,
            Flag(
                "train_data",
                "Samples to train on: .npz with x and labels y; without y, towards the model's own outputs.",
                "samples to train on: .npz with x, and y if there are labels",
            ),
            *KERAS_CODE,
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
            output_dir(
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
            MODEL,
            DATA,
            CALIBRATION,
            EVALUATION_DATA,
            Flag(
                "data",
                "Labelled samples that the plans are judged on: .npz with x and y.",
                "labelled samples to judge on: .npz with x and y",
            ),
            *KERAS_CODE,
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
            output_dir(
                "Folder for table.csv, plot.png and the plans; if killed, the same command goes on from it.",
                "for table.csv, plot.png and the plans",
            ),
        ),
        ("model", "data", "output_dir", "searches"),
        tuple(name for name in ALL_OPTIONS if name not in actions.COMPARED),
        example="m.tflite --calibration_data x.npz --data xy.npz --sram_bytes 32KB,64KB --output_dir compared",
    ),
    **COMMANDS_OF_CONVERTED,
    **COMMANDS_WITHOUT_MODEL,
}
