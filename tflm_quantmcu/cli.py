"""The command line: `tflm_quantmcu COMMAND --flag value ...`; COMMANDS at the end lists what there is.

Every flag of plan and convert is a field of `options.Options`. A refusal is one sentence on stderr and its
documented exit code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from tflm_quantmcu import __version__
from tflm_quantmcu.base.errors import QuantMcuError, UsageError
from tflm_quantmcu.search.options import Options

_DEFINE: dict[type, Callable[..., Any]] = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    bool: flags.DEFINE_bool,
}
_MODEL = ("model", "Model: int8 .tflite, .keras, .h5 or a SavedModel folder.")
_IMPORT = ("import", "", "Modules that define a Keras model's own layers; looked for in this folder too.")
_UNSAFE_LAMBDA = ("unsafe_lambda", "Runs the Python code that Lambda layers in the model file hold; if you trust it.")
_CONVERTED = ("model", "Model: a converted or any int8 .tflite.")
_DATA = ("calibration_data", "Representative inputs: .npz with x [N, H, W, C].")
_CALIBRATION = (
    "calibration",
    "Saved calibration, as `calibrate` or ActivationCalibrator wrote it.",
)


_EVALUATION_DATA = (
    "evaluation_data",
    "Labelled samples that searches judge plans by: .npz with x and y. Judge the result by others.",
)
_CHECKPOINT = (
    "checkpoint",
    "Where a long run keeps its state, so that the same command goes on after a kill; default <output>.checkpoint, "
    "deleted at the end.",
)


@dataclasses.dataclass(frozen=True)
class Command:
    """One sub-command: what it does, its file flags and its switches, off and on by default, as (name, help), which
    options of plan and convert it takes, and its own flags of several values and of one number as (name, default,
    help)."""

    summary: str
    run: Callable[[flags.FlagValues], None]
    files: Sequence[tuple[str, str]]
    required: Sequence[str]
    options: Sequence[str] = ()
    switches: Sequence[tuple[str, str]] = ()
    on_switches: Sequence[tuple[str, str]] = ()
    lists: Sequence[tuple[str, str, str]] = ()
    numbers: Sequence[tuple[str, float, str]] = ()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 2 (usage), 3 (unsupported model), 4 (budget) or 5 (verification)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # a file loads there, whatever it was trained on
    warnings.formatwarning = lambda message, *_, **__: f"tflm_quantmcu: warning: {message}\n"
    try:
        run(list(sys.argv[1:] if argv is None else argv))
    except QuantMcuError as error:
        print(f"tflm_quantmcu: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)


def run(arguments: list[str]) -> None:
    """Runs one command line; raises instead of exiting."""
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_overview())
        return
    if arguments[0] in ("--version", "version"):
        print(f"tflm_quantmcu {__version__}")
        return
    name, *rest = arguments
    if name not in COMMANDS:
        raise UsageError(f"there is no command '{name}'; there are {', '.join(COMMANDS)}")
    command = COMMANDS[name]
    values = _define(command)
    if {"--help", "-h", "--helpfull"} & set(rest):
        print(f"tflm_quantmcu {name}: {command.summary}\n{values.get_help()}")
        return
    try:
        extra = values([f"tflm_quantmcu {name}", *rest])[1:]
    except flags.Error as error:
        raise UsageError(str(error).replace("\n", " ")) from None
    if extra:
        raise UsageError(f"'{extra[0]}' is not a flag of {name}; see tflm_quantmcu {name} --help")
    for flag in command.required:
        if not values[flag].value:
            raise UsageError(f"--{flag} is missing; see tflm_quantmcu {name} --help")
    with _user_code(values):
        command.run(values)


def _user_code(values: flags.FlagValues) -> contextlib.AbstractContextManager[None]:
    if "import" not in values or not (values["import"].value or values.unsafe_lambda):
        return contextlib.nullcontext()
    from tflm_quantmcu.keras_bridge.load import user_code

    return user_code(values["import"].value or (), unsafe_lambda=values.unsafe_lambda)


def _overview() -> str:
    lines = [f"  {name:10} {command.summary}" for name, command in COMMANDS.items()]
    return (
        "usage: tflm_quantmcu COMMAND [--flag value ...]\n\n"
        + "\n".join(lines)
        + "\n\nCOMMAND --help lists its flags; --version prints the version."
    )


def _define(command: Command) -> flags.FlagValues:
    values = flags.FlagValues()
    for name, help_text in command.files:
        flags.DEFINE_string(name, None, help_text, flag_values=values)
    for switches, is_on in ((command.switches, False), (command.on_switches, True)):
        for name, help_text in switches:
            flags.DEFINE_bool(name, is_on, help_text, flag_values=values)
    for name, default, help_text in command.lists:
        flags.DEFINE_list(name, default, help_text, flag_values=values)
    for name, number, help_text in command.numbers:
        _DEFINE[type(number)](name, number, help_text, flag_values=values)
    for field in dataclasses.fields(Options):
        if field.name in command.options:
            help_text = field.metadata["help"]
            if field.metadata["choices"]:
                help_text += " One of " + ", ".join(str(c) for c in field.metadata["choices"] if c is not None) + "."
            define = _DEFINE[field.metadata["kind"]]
            define(field.name, field.default, help_text, flag_values=values)
    return values


def _options(values: flags.FlagValues) -> dict[str, Any]:
    """The options that were given on the command line; the rest keep their defaults."""
    names = (f.name for f in dataclasses.fields(Options))
    return {n: values[n].value for n in names if n in values and values[n].present}


def _calibrate(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import api
    from tflm_quantmcu.calibration.calibrate import save_calibration

    checkpoint = _checkpoint(values)
    result = api.calibrate_model(values.model, values.calibration_data, checkpoint=checkpoint, **_options(values))
    save_calibration(result, values.output)
    checkpoint.unlink(missing_ok=True)
    print(f"calibrated {len(result.stats)} feature maps on {len(result.samples)} samples -> {values.output}")
    if result.comparison:
        print(result.comparison.lines[0])


def _plan(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import api
    from tflm_quantmcu.base.files import write_atomically

    inputs = {"calibration": values.calibration, "calibration_data": values.calibration_data, **_options(values)}
    if values.pareto:
        from tflm_quantmcu.patches.pareto import write_front

        picture = write_front(api.pareto_front(values.model, **inputs), values.pareto)
        print(f"wrote {values.pareto} and {picture}")
    checkpoint = _checkpoint(values)
    plan = api.plan(values.model, evaluation_data=values.evaluation_data, checkpoint=checkpoint, **inputs)
    write_atomically(values.output, plan.to_json().encode())
    checkpoint.unlink(missing_ok=True)
    print("\n".join(plan.notes))


def _checkpoint(values: flags.FlagValues) -> pathlib.Path:
    return pathlib.Path(values.checkpoint or f"{values.output}.checkpoint")


def _convert(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import api
    from tflm_quantmcu.base.files import write_atomically

    options = _options(values)
    plan = _existing_plan(values.plan, options)
    checkpoint = _checkpoint(values)
    result = api.convert(
        values.model,
        calibration=values.calibration,
        calibration_data=values.calibration_data,
        evaluation_data=values.evaluation_data,
        checkpoint=checkpoint,
        plan=plan,
        **options,
    )
    if values.plan and plan is None:
        write_atomically(values.plan, result.plan.to_json().encode())
    if values.report:
        result.report.save_html(values.report)
    if values.report_json:
        result.report.save_json(values.report_json)
    result.save(values.output)
    checkpoint.unlink(missing_ok=True)
    print(result.report)


def _existing_plan(path: str | None, options: dict[str, Any]) -> Any:
    """The plan in the file, if there is one; it must have been made with the options that are given now."""
    if path is None or not pathlib.Path(path).exists():
        return None
    from tflm_quantmcu.base.files import read_bytes
    from tflm_quantmcu.graph.precision_plan import PrecisionPlan

    plan = PrecisionPlan.from_json(read_bytes(path, "--plan").decode("utf-8", "replace"))
    made_with = {"search": plan.search.get("method"), **plan.search}
    chosen = Options.of(options).parameters
    for name, value in ((name, chosen.get(name, value)) for name, value in options.items()):
        if name in made_with and made_with[name] != value:
            raise UsageError(
                f"{path} was made with --{name} {made_with[name]}, not {value}; delete it to plan anew or drop the flag"
            )
    print(f"using the plan in {path}; delete it to plan anew")
    return plan


def _compare(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.compare import compare, parse_numbers, parse_sizes

    comparison = compare(
        values.model,
        searches=values.searches,
        data=values.data,
        output_dir=values.output_dir,
        calibration=values.calibration,
        calibration_data=values.calibration_data,
        evaluation_data=values.evaluation_data,
        sram_bytes=parse_sizes(values.sram_bytes, "sram_bytes"),
        flash_bytes=parse_sizes(values.flash_bytes, "flash_bytes"),
        seeds=parse_numbers(values.seeds, "seeds"),
        **{name: value for name, value in _options(values).items() if name not in _COMPARED},
    )
    print(comparison)
    print(f"wrote table.csv, plot.png and {len(comparison.plans)} plans to {values.output_dir}")


def _finetune(values: flags.FlagValues) -> None:
    from tflm_quantmcu.finetuning.finetune import finetune_file

    print(
        finetune_file(
            values.model,
            values.plan,
            train_data=values.train_data,
            output_dir=values.output_dir,
            calibration=values.calibration,
            calibration_data=values.calibration_data,
            epochs=values.epochs,
            learning_rate=values.learning_rate,
            distill=values.distill,
            **_options(values),
        )
    )


def _inspect(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.inspection import describe_memory, describe_model
    from tflm_quantmcu.base.files import read_bytes
    from tflm_quantmcu.converter.branches import write_branches
    from tflm_quantmcu.tflite.model_file import ModelFile

    file = ModelFile(read_bytes(values.model, "--model"))
    print(describe_model(file, Options.of(_options(values)).target if values.core or values.board else None))
    if values.memory or values.memory_png:
        print("\n" + describe_memory(file, values.memory_png))
    if values.branches_dir:
        written = write_branches(file, values.branches_dir)
        print(f"wrote {len(written)} branches to {values.branches_dir}")


def _run(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.evaluation import run_file

    print(run_file(values.model, values.inputs, values.outputs))


def _evaluate(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.evaluation import evaluate_file

    print(evaluate_file(values.model, values.data, n_jobs=values.n_jobs, progress=values.progress))


def _emit(values: flags.FlagValues) -> None:
    from tflm_quantmcu.converter.emit.project import emit

    project = emit(
        values.model,
        output_dir=values.output_dir,
        target=values.target or "aot",
        core=values.core or "host",
        inputs=values.inputs,
        name=values.name,
        bundle=values.bundle,
    )
    print(project.summary)


def _doctor(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import doctor

    findings = doctor.examine()
    print("\n".join(map(str, findings)))
    doctor.require(findings)


def _sources(values: flags.FlagValues) -> None:
    from tflm_quantmcu.native.sources import copy_sources

    num_files = copy_sources(values.output_dir)
    print(f"wrote {num_files} files to {values.output_dir}; compile with -I{values.output_dir}")


def _bench(values: flags.FlagValues) -> None:
    from tflm_quantmcu.cost.bench import bench

    print(bench(values.core, output=values.output))


_ALL_OPTIONS = tuple(f.name for f in dataclasses.fields(Options))
_COMPARED = ("search", "sram_bytes", "flash_bytes", "seed")

COMMANDS: dict[str, Command] = {
    "calibrate": Command(
        "measures a model's feature maps on representative inputs",
        _calibrate,
        (_MODEL, _DATA, _CHECKPOINT, ("output", "Where to write the calibration (.npz).")),
        ("model", "calibration_data", "output"),
        ("calibration_method", "calibration_percentile", "max_samples", "seed", "n_jobs", "progress"),
        switches=(_UNSAFE_LAMBDA,),
        lists=(_IMPORT,),
    ),
    "plan": Command(
        "decides patch stages and bit widths",
        _plan,
        (
            _MODEL,
            _DATA,
            _CALIBRATION,
            _EVALUATION_DATA,
            _CHECKPOINT,
            ("output", "Where to write plan.json."),
            ("pareto", "Where to write what fewer bytes of arena cost in MACs (.csv, and a plot as .png beside it)."),
        ),
        ("model", "output"),
        _ALL_OPTIONS,
        switches=(_UNSAFE_LAMBDA,),
        lists=(_IMPORT,),
    ),
    "convert": Command(
        "writes the converted .tflite, verified on TFLM",
        _convert,
        (
            _MODEL,
            _DATA,
            _CALIBRATION,
            _EVALUATION_DATA,
            _CHECKPOINT,
            ("output", "Where to write the .tflite."),
            ("plan", "plan.json: used if the file exists, else the plan is written there."),
            ("report", "Where to write the report (.html)."),
            ("report_json", "Where to write its figures (.json)."),
        ),
        ("model", "output"),
        _ALL_OPTIONS,
        switches=(_UNSAFE_LAMBDA,),
        lists=(_IMPORT,),
    ),
    "finetune": Command(
        "trains a Keras model to live with a plan's widths",
        _finetune,
        (
            ("model", "Model: .keras or .h5."),
            ("plan", "plan.json that was made for it."),
            (
                "calibration",
                "Calibration that the plan was made with; else --calibration_data converts the model anew.",
            ),
            _DATA,
            (
                "train_data",
                "Samples to train on: .npz with x and labels y; without y, towards the model's own outputs.",
            ),
            ("output_dir", "Folder for model.keras, plan.json and calibration.npz, for convert."),
        ),
        ("model", "plan", "train_data", "output_dir"),
        ("max_samples", "seed", "progress"),
        switches=(("distill", "Train towards the model's own outputs, though there are labels."), _UNSAFE_LAMBDA),
        lists=(_IMPORT,),
        numbers=(
            ("epochs", 10, "Passes over the samples."),
            ("learning_rate", 1e-4, "Of Adam; halved at half of the epochs, a tenth at four fifths."),
        ),
    ),
    "compare": Command(
        "compares searches at several budgets on labelled samples",
        _compare,
        (
            _MODEL,
            _DATA,
            _CALIBRATION,
            _EVALUATION_DATA,
            ("data", "Labelled samples that the plans are judged on: .npz with x and y."),
            (
                "output_dir",
                "Folder for table.csv, plot.png and the plans; if killed, the same command goes on from it.",
            ),
        ),
        ("model", "data", "output_dir", "searches"),
        tuple(name for name in _ALL_OPTIONS if name not in _COMPARED),
        switches=(_UNSAFE_LAMBDA,),
        lists=(
            _IMPORT,
            ("searches", "vdqs,memory_driven,rl,hybrid,uniform", "Names of searches."),
            ("sram_bytes", "none", "Bounds on the RAM to reserve, as 65536 or 64KB; none is no bound."),
            ("flash_bytes", "none", "Bounds on the .tflite, as 1048576 or 1MB; none is no bound."),
            ("seeds", "0", "Seeds of the searches."),
        ),
    ),
    "inspect": Command(
        "prints a model's ops, stages, patches, classes, bits and bytes",
        _inspect,
        (
            _CONVERTED,
            ("branches_dir", "Folder for each patch's dataflow branch as a small .tflite."),
            ("memory_png", "Where to draw the arena, lifetime x offset (.png); implies --memory."),
        ),
        ("model",),
        ("core", "board", "runtime"),
        switches=(("memory", "Draws the arena, lifetime x offset, as text."),),
    ),
    "run": Command(
        "runs a model on TFLM",
        _run,
        (
            _CONVERTED,
            ("inputs", ".npz with x [N, H, W, C]."),
            ("outputs", "Where to write the raw outputs (.npz with y; of several outputs y0, y1, ...)."),
        ),
        ("model", "inputs", "outputs"),
    ),
    "evaluate": Command(
        "prints a model's accuracy on TFLM",
        _evaluate,
        (_CONVERTED, ("data", ".npz with x [N, H, W, C] and labels y [N].")),
        ("model", "data"),
        ("n_jobs", "progress"),
    ),
    "emit": Command(
        "writes a C++ project that runs a model on a device",
        _emit,
        (
            _CONVERTED,
            ("target", "aot: C++ without TFLM, a static memory plan (default); tflm: a project for the interpreter."),
            ("core", "What it is built for: host (default), cortex-m0plus, -m3, -m4, -m7, -m33 or -m55."),
            ("output_dir", "Where to write the project."),
            ("inputs", ".npz whose first 8 samples the project's test runs; else random ones."),
            ("name", "C++ name of the model; else made of the file's name."),
        ),
        ("model", "output_dir"),
        on_switches=(("bundle", "Copies the kernels into the project; --nobundle: it refers to a checkout."),),
    ),
    "sources": Command(
        "copies the C++ sources for a firmware project",
        _sources,
        (("output_dir", "Folder that becomes QUANTMCU_DIR of emitted projects."),),
        ("output_dir",),
    ),
    "doctor": Command("says what is installed, what is missing, and how to get it", _doctor, (), ()),
    "bench": Command(
        "measures the kernels of a core in QEMU",
        _bench,
        (
            ("core", "cortex-m0plus, -m3, -m4, -m7, -m33 or -m55."),
            (
                "output",
                "Where to write the counts (.csv); those in tflm_quantmcu/cost/data/ feed the estimates.",
            ),
        ),
        ("core", "output"),
    ),
}

if __name__ == "__main__":
    main()
