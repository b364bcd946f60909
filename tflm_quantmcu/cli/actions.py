"""What each command does with the values of its flags: it calls the Python interface and prints what came of it."""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
from typing import Any

from absl import flags

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.search.options import Options

COMPARED = ("search", "sram_bytes", "flash_bytes", "seed")  # options of which `compare` takes several


def options_of(values: flags.FlagValues) -> dict[str, Any]:
    """The options that were given on the command line; the rest keep their defaults."""
    names = (f.name for f in dataclasses.fields(Options))
    return {n: values[n].value for n in names if n in values and values[n].present}


def calibrate(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import api
    from tflm_quantmcu.calibration.calibration_file import save_calibration

    checkpoint = checkpoint_of(values)
    result = api.calibrate_model(values.model, values.calibration_data, checkpoint=checkpoint, **options_of(values))
    save_calibration(result, values.output)
    checkpoint.unlink(missing_ok=True)
    print(f"calibrated {len(result.stats)} feature maps on {len(result.samples)} samples -> {values.output}")
    if result.comparison:
        print(result.comparison.lines[0])


def plan(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import api
    from tflm_quantmcu.app.accuracy_lines import accuracy_lines
    from tflm_quantmcu.base.files import write_atomically

    inputs = {"calibration": values.calibration, "calibration_data": values.calibration_data, **options_of(values)}
    if values.pareto:
        from tflm_quantmcu.patches.pareto import require_table, write_front

        require_table(values.pareto)
        written = write_front(api.pareto_front(values.model, **inputs), values.pareto)
        print(f"wrote {' and '.join(map(str, written))}")
    checkpoint = checkpoint_of(values)
    plan, in_words = api.timed_plan(
        values.model, evaluation_data=values.evaluation_data, checkpoint=checkpoint, **inputs
    )
    write_atomically(values.output, plan.to_json().encode())
    checkpoint.unlink(missing_ok=True)
    print("\n".join([*plan.notes, *accuracy_lines(plan.search), *in_words()]))


def checkpoint_of(values: flags.FlagValues) -> pathlib.Path:
    from tflm_quantmcu.base.files import beside

    return pathlib.Path(values.checkpoint) if values.checkpoint else beside(values.output, ".checkpoint")


def convert(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import api
    from tflm_quantmcu.base.files import write_atomically

    options = options_of(values)
    plan = _existing_plan(values.plan, options)
    checkpoint = checkpoint_of(values)
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
    report = result.report.with_command(command_of("convert", values))
    if values.report:
        report.save_html(values.report)
    if values.report_json:
        report.save_json(values.report_json)
    result.save(values.output)
    checkpoint.unlink(missing_ok=True)
    print(report)


def command_of(name: str, values: flags.FlagValues) -> str:
    """The command line that gives these values."""
    given = [(flag, values[flag].value) for flag in values if values[flag].present or flag in ("model", "output")]
    words = [f"--{flag}={value}" if value is not False else f"--no{flag}" for flag, value in given if value is not None]
    return shlex.join(["tflm_quantmcu", name, *words])


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


def compare(values: flags.FlagValues) -> None:
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
        **{name: value for name, value in options_of(values).items() if name not in COMPARED},
    )
    print(comparison)
    print(f"wrote table.csv and {len(comparison.plans)} plans to {values.output_dir}")


def finetune(values: flags.FlagValues) -> None:
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
            **options_of(values),
        )
    )


def inspect(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.inspection import describe_memory, describe_model, describe_why, target_for
    from tflm_quantmcu.base import pictures
    from tflm_quantmcu.base.files import read_bytes
    from tflm_quantmcu.converter.branches import write_branches
    from tflm_quantmcu.graph.target import Target
    from tflm_quantmcu.tflite.model_file import ModelFile

    if values.memory_png:
        pictures.require()
    file = ModelFile(read_bytes(values.model, "--model"))
    given = options_of(values)
    print(describe_model(file, target_for(file, **given) if given else None))
    if values.why:
        print("\n" + describe_why(file, target_for(file, **given) if given else Target.of()))
    if values.memory or values.memory_png:
        print("\n" + describe_memory(file, values.memory_png))
    if values.branches_dir:
        written = write_branches(file, values.branches_dir)
        print(f"wrote {len(written)} branches to {values.branches_dir}")


def diff(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.core_diff import diff_core, require_core
    from tflm_quantmcu.app.model_diff import diff_files

    if values.core:
        require_core(values.core)
    found = diff_files(
        values.reference,
        values.model,
        values.data,
        original=values.original,
        limit_db=values.limit_db,
        num_samples=values.num_samples,
    )
    if values.output_json:
        found.save_json(values.output_json)
    if values.report:
        found.save_html(values.report)
    print(found)
    if values.core:
        from tflm_quantmcu.base.files import read_bytes
        from tflm_quantmcu.tflite.model_file import ModelFile

        file = ModelFile(read_bytes(values.model, "--model"))
        print(diff_core(file, values.data, values.core, num_samples=min(found.num_samples, values.num_samples)))


def run(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.evaluation import run_file

    print(run_file(values.model, values.inputs, values.outputs))


def evaluate(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.evaluation import evaluate_file

    print(evaluate_file(values.model, values.data, n_jobs=values.n_jobs, progress=values.progress))


def emit(values: flags.FlagValues) -> None:
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


def demo(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app.demo import demo

    done = demo(values.output_dir, **options_of(values))
    print(done.summary)
    if values.open:
        import webbrowser

        webbrowser.open(done.report.resolve().as_uri())


def doctor(values: flags.FlagValues) -> None:
    from tflm_quantmcu.app import doctor

    findings = doctor.examine()
    print("\n".join(map(str, findings)))
    doctor.require(findings)


def sources(values: flags.FlagValues) -> None:
    from tflm_quantmcu.native.sources import copy_sources

    num_files = copy_sources(values.output_dir)
    print(f"wrote {num_files} files to {values.output_dir}; compile with -I{values.output_dir}")


def bench(values: flags.FlagValues) -> None:
    from tflm_quantmcu.cost.bench import bench

    print(bench(values.core, output=values.output))
