"""How much smaller Keras models of a file get: the arena of stock TFLM against ours, and what keeps it where it is.

    python -m experiments.zoo --models FILE.py [--names a --names b] [--keep DIR] [--rows FILE.csv]
    python -m experiments.zoo a.tflite b.tflite [--rows FILE.csv]

FILE.py has a dict ZOO, or several of that kind named by --tables: name -> function that returns a Keras model and its
samples, and the type of the file's ends where that is not int8; or the model alone for tables whose samples FILE.py's
`app(name)` gives. Weights are random, batch normalisations get the statistics of the samples. Each model is converted
as users do it (`--search uniform`, no bound, cortex-m4); arenas are non-persistent bytes that TFLM records on this
host, those of the M4 what its kernels take, and of emitted code (AOT) for it, and all outputs are compared in every
byte. Prints a Markdown table, the models that shrink the least first, and the counts.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import tflm_quantmcu as qm
from tflm_quantmcu.app import api
from tflm_quantmcu.app.peak import peak_of
from tflm_quantmcu.base.errors import QuantMcuError, UnsupportedModelError
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.emit.memory_plan import plan_memory
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.target import DEFAULT_CORE, variant_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.tflite.model_file import ModelFile

HALF = 0.5
_VARIANT = variant_of(DEFAULT_CORE)


@dataclasses.dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
      name: of its builder.
      stock_bytes, our_bytes: non-persistent arena; 0 where the model was not made, or not taken.
      slowdown: our estimated cycles over those of the network unsplit on our kernels; 0 where some are not known.
      is_equal: all outputs equal stock TFLM's in every byte.
      peak: what holds the most, or why there is no such model.
      core_bytes: our arena on the M4.
      aot_bytes: of emitted code on the M4, all RAM but the stack; 0 where it does not run the model.
    """

    name: str
    stock_bytes: int
    our_bytes: int
    slowdown: float
    is_equal: bool
    peak: str
    core_bytes: int = 0
    aot_bytes: int = 0

    @property
    def ratio(self) -> float:
        return self.our_bytes / self.stock_bytes if self.our_bytes else 1.0

    @property
    def cells(self) -> str:
        equal = "yes" if self.is_equal else "no"
        slowdown = f"{self.slowdown:.2f}" if self.slowdown else ""
        aot = f"{self.aot_bytes:,}" if self.aot_bytes else "no"
        values = (self.name, f"{self.stock_bytes:,}", f"{self.our_bytes:,}", f"{self.ratio:.3f}", slowdown, equal)
        return f"| {' | '.join((*values, f'{self.core_bytes:,}', aot, self.peak))} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.zoo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="int8 .tflite files, in place of --models")
    parser.add_argument("--models", type=Path, help="Python file with builders of Keras models")
    parser.add_argument("--tables", action="append", help="a dict of that file, again for more; default ZOO")
    parser.add_argument("--names", action="append", default=[], help="a model to take, again for more; default all")
    parser.add_argument("--keep", help="folder of int8 models: those that it holds are not made again")
    parser.add_argument("--rows", help="CSV of rows: those that it holds are not measured again")
    chosen = parser.parse_args()
    if bool(chosen.files) == bool(chosen.models):
        parser.error("needed are either files or --models")
    made: dict[str, Callable[[], Row]] = {path.stem: functools.partial(row_of_file, path) for path in chosen.files}
    if chosen.models:
        module = load_module(chosen.models)
        tables = [builders_of(module, table) for table in chosen.tables or ["ZOO"]]
        builders = {name: build for table in tables for name, build in table.items()}
        made = {name: functools.partial(row_of, name, build, chosen.keep) for name, build in builders.items()}
    kept = dict.fromkeys(chosen.names) or made
    rows = {row.name: row for row in read_rows(chosen.rows)}
    for name in kept:
        if name not in rows:
            rows[name] = made[name]()
            write_rows(chosen.rows, rows.values())
            print(rows[name].cells, flush=True)
    print(table_of([rows[name] for name in kept]))


def load_module(path: Path) -> ModuleType:
    """The builders' file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def builders_of(module: ModuleType, table: str) -> Mapping[str, Callable[[], Any]]:
    """Name -> function that returns a model and its samples."""
    found: Mapping[str, Callable[[], Any]] = getattr(module, table)
    return found if table == "ZOO" else {name: functools.partial(module.app, name) for name in found}


def row_of(name: str, build: Callable[[], Any], folder: str | None = None) -> Row:
    """Makes, converts and compares one model; `folder` keeps it."""
    try:
        data = model_bytes(name, build, folder)
    except Exception as error:  # whatever Keras raises: the model is then none of ours
        return Row(name, 0, 0, 0.0, False, f"not made: {str(error).splitlines()[0][:120]}")
    return _row(name, data)


def model_bytes(name: str, build: Callable[[], Any], folder: str | None = None) -> bytes:
    """The `.tflite` of a Keras model; `folder` keeps it.

    Raises:
      Exception: whatever Keras raises.
    """
    path = Path(folder or os.devnull) / f"{name}.tflite"
    if folder and path.exists():
        return path.read_bytes()
    data = int8_model(build)
    if folder:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return data


def row_of_file(path: Path) -> Row:
    """Converts and compares a `.tflite`."""
    return _row(path.stem, path.read_bytes())


def _row(name: str, data: bytes) -> Row:
    try:
        report = qm.convert(data, search="uniform", progress=False, n_jobs=1)
    except QuantMcuError as error:
        return Row(name, 0, 0, 0.0, False, f"refused: {error}")
    before, after = report.report.baseline, report.report.converted
    graph = ModelFile(report.model).graph
    peak = peak_of(graph)
    assert before.recorded_non_persistent_bytes and after.recorded_non_persistent_bytes
    return Row(
        name,
        before.recorded_non_persistent_bytes,
        after.recorded_non_persistent_bytes,
        after.cycles / before.cycles if before.cycles and after.cycles else 0.0,
        bool(report.report.verification and report.report.verification.is_same_function),
        f"{op_place(graph, peak.op)}, then {peak.next_bytes:,}",
        after.arena_by_variant[_VARIANT],
        aot_bytes(graph),
    )


def aot_bytes(graph: ModelGraph) -> int:
    """The arena of emitted code on the M4; 0 where it does not run the model."""
    try:
        return plan_memory(graph, [calls_of(graph, op, variant=_VARIANT) for op in graph.ops]).arena_bytes
    except UnsupportedModelError:
        return 0


def int8_model(build: Callable[[], Any]) -> bytes:
    """The `.tflite` of a Keras model."""
    import keras

    from tflm_quantmcu.keras_bridge.to_tflite import keras_to_int8

    keras.utils.set_random_seed(1)
    model, x, *input_type = build()
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)
    if input_type:
        return keras_to_int8(model, x, input_type=input_type[0])
    return api.read_source(model, None, x, Options.of({"progress": False})).model.origin.data


def table_of(rows: Iterable[Row]) -> str:
    """Markdown: a row a model that stock TFLM runs, then those that it does not, then the counts."""
    rows = sorted(rows, key=lambda row: (-row.ratio, row.name))
    run = [row for row in rows if row.our_bytes]
    smaller, halved = (sum(row.ratio <= most for row in run) for most in (1 - 1e-9, HALF))
    wider = sum(row.is_equal for row in run)
    columns = ("model", "stock", "ours", "ratio", "cycles", "equal", "M4", "AOT", "what holds the most")
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    count = max(len(run), 1)
    total = (
        f"{len(run)} of {len(rows)} models run on TFLM and are taken, {wider} equal in every byte; "
        f"smaller: {smaller} ({smaller / count:.0%}), at most half: {halved} ({halved / count:.0%})"
    )
    others = [f"not among them: {row.name}, {row.peak}" for row in rows if not row.our_bytes]
    return "\n".join([head, *(row.cells for row in run), "", *others, total])


def read_rows(path: str | None) -> list[Row]:
    """Rows of a file of `write_rows`; none where there is no such file."""
    if not path or not Path(path).exists():
        return []
    with open(path, newline="") as file:
        return [
            Row(name, int(stock), int(ours), float(slowdown), equal == "True", peak, int(core), int(aot))
            for name, stock, ours, slowdown, equal, peak, core, aot in csv.reader(file)
        ]


def write_rows(path: str | None, rows: Iterable[Row]) -> None:
    """Writes rows as CSV."""
    if path:
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(dataclasses.astuple(row) for row in rows)


if __name__ == "__main__":
    main()
