"""Checks that dependencies point one way; the rules are the two tables below.

In: a source tree. Out: one sentence for each import or #include that its room or part may not use, for each module
that stands in no room, and for each import cycle. Imports inside functions count too: they hide a dependency, they do
not remove it. TensorFlow, which takes seconds to import, is the exception: who may not load it may still call, from
inside a function, a module that does.
"""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import graphlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PACKAGE = "tflm_quantmcu"


@dataclasses.dataclass(frozen=True)
class Room:
    """A folder of the package.

    Attributes:
      name: the folder; "" holds the modules at the package's top.
      uses: rooms; what these may use it may use too. They stand above it in the table, so no two rooms use each other.
      tensorflow: its modules that import TensorFlow when they are imported, patterns as of fnmatch.
    """

    name: str
    uses: Sequence[str] = ()
    tensorflow: Sequence[str] = ()


ROOMS = (  # lowest first
    Room("base"),
    Room("placement"),
    Room("graph", ("base",)),
    Room("law", ("graph",)),
    Room("lowering", ("law",)),
    Room("stage", ("placement", "lowering")),
    Room("tflite", ("stage",)),
    Room("native", ("tflite",)),
    Room("arena", ("native",)),
    Room("oracle", ("stage",)),
    Room("runtime", ("native",)),
    Room("host", ("oracle", "native")),
    Room("cost", ("arena",)),
    Room("patches", ("cost",)),
    Room("calibration", ("host", "runtime")),
    Room("compensation", ("host",)),
    Room("converter", ("arena", "oracle", "runtime")),
    Room("keras_bridge", ("calibration",), tensorflow=("*",)),
    Room("search", ("patches", "compensation", "keras_bridge"), tensorflow=("gates", "gate_training")),
    Room("finetuning", ("compensation", "keras_bridge"), tensorflow=("*",)),
    Room("app", ("converter", "search"), tensorflow=("keras_export",)),
    Room("", ("finetuning", "app")),
    Room("cli", ("",)),
)
FRONT_MODULES = ("",)  # the package itself
_OF_CLI = "__main__"  # `python -m tflm_quantmcu`


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the C++ tree.

    Attributes:
      name: shown in messages.
      members: folders. The first part that matches owns a file, also in folders below.
      may_use: files that it may include beside its own, patterns as of fnmatch.
    """

    name: str
    members: Sequence[str]
    may_use: Sequence[str]


_LIBC = ("stdint.h", "stddef.h", "string.h")
_PORTABLE = "tflm_kernels/portable/*"
_LAW = "tflm_kernels/portable/law/*"
_OPS = "tflm_kernels/portable/ops/*"
_KERNELS = ("tflm_kernels/cortex_m/kernels.h", "tflm_kernels/cortex_m/among.h")
_SCRATCH = "tflm_kernels/cortex_m/scratch.h"
CPP_PARTS = (
    Part("law", ("tflm_kernels/portable/law",), _LIBC),
    Part("ops", ("tflm_kernels/portable/ops",), (_LAW, *_LIBC)),
    Part("stage", ("tflm_kernels/portable/stage",), (_LAW, _OPS, *_LIBC)),
    Part("portable", ("tflm_kernels/portable",), (_PORTABLE, *_LIBC)),
    Part("plain", ("tflm_kernels/cortex_m/plain",), (_LAW, _OPS, *_LIBC)),
    Part("dsp", ("tflm_kernels/cortex_m/dsp",), (_LAW, _OPS, *_LIBC, "arm_acle.h")),
    Part("mve", ("tflm_kernels/cortex_m/mve",), (_LAW, _OPS, *_LIBC, "arm_mve.h")),
    Part("host", ("tflm_kernels/host",), _LIBC),
    Part("cortex_m", ("tflm_kernels/cortex_m",), (_PORTABLE, *_LIBC)),
    Part("aot", ("tflm_kernels/aot",), (_PORTABLE, *_KERNELS, "tflm_kernels/boards/*", *_LIBC, "stdbool.h")),
    Part(
        "micro",
        ("tflm_kernels/micro",),
        (
            _PORTABLE,
            *_KERNELS,
            _SCRATCH,
            *_LIBC,
            "third_party/tflm_abi/*",
            "tensorflow/lite/*",
            "python/tflite_micro/*",
            "flatbuffers/*",
        ),
    ),
)

_TENSORFLOW = ("tensorflow", "keras")
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Use:
    """An import.

    Attributes:
      place: file and line, as messages name them.
      module, used: names below the package ("" is the package itself); `used` is "tensorflow" or "keras" for those.
      is_at_top: outside of functions, so that it runs when the module is imported.
    """

    place: str
    module: str
    used: str
    is_at_top: bool


def check(root: Path) -> list[str]:
    """All violations below `root`, the folder that holds tflm_quantmcu/ and tflm_kernels/."""
    uses = python_uses(root)
    return [*_homeless(root), *room_violations(uses, ROOMS), *_cycles(uses), *_check_cpp(root)]


def room_violations(uses: Sequence[Use], rooms: Sequence[Room]) -> Iterator[str]:
    """Uses of rooms, and of TensorFlow, that the table does not allow."""
    by_name = {room.name: room for room in rooms}
    reach = _reach(rooms)
    for use in uses:
        name, other = _room_name(use.module), _room_name(use.used)
        if name not in by_name:
            continue
        if use.used in _TENSORFLOW:
            if not _loads_tensorflow(use.module, by_name):
                yield f"{use.place}: {_shown(name)} may not import {use.used}; {_tensorflow_modules(rooms)} may"
        elif other != name and other not in reach[name]:
            yield (
                f"{use.place}: {_shown(name)} may not use {_shown(other)} ({_dotted(use.used)}); "
                f"it may use {_listed([r.name for r in rooms if r.name in reach[name]])}"
            )
        elif use.is_at_top and _loads_tensorflow(use.used, by_name) and not _loads_tensorflow(use.module, by_name):
            yield f"{use.place}: {_dotted(use.used)} loads TensorFlow; import it inside the function that needs it"


def python_uses(root: Path) -> list[Use]:
    """Every import of the package's own modules and of TensorFlow below `root`."""
    modules = dict(_modules(root))
    return [use for module, path in modules.items() for use in _uses(root, module, path, modules)]


def _homeless(root: Path) -> Iterator[str]:
    names = [room.name for room in ROOMS if room.name]
    for module, path in _modules(root):
        if module not in FRONT_MODULES and _room_name(module) not in names:
            yield f"{path.relative_to(root)} stands in no room; the rooms are {_listed(names)}"


def _cycles(uses: Sequence[Use]) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for use in uses:
        graph.setdefault(use.module, set()).add(use.used)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield "import cycle: " + " <- ".join(_dotted(name) for name in error.args[1])


def _reach(rooms: Sequence[Room]) -> dict[str, set[str]]:
    """Room -> all that it may use, itself left out."""
    reach: dict[str, set[str]] = {}
    for room in rooms:
        reach[room.name] = {name for used in room.uses for name in (used, *reach[used])}
    return reach


def _room_name(module: str) -> str:
    if module == _OF_CLI:
        return "cli"
    return "" if module in FRONT_MODULES else module.partition(".")[0]


def _loads_tensorflow(module: str, by_name: Mapping[str, Room]) -> bool:
    room, _, inner = module.partition(".")
    return bool(inner) and room in by_name and _matches(inner, by_name[room].tensorflow)


def _tensorflow_modules(rooms: Sequence[Room]) -> str:
    return ", ".join(f"{room.name}.{pattern}" for room in rooms for pattern in room.tensorflow)


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module as its name below the package ('' is the package itself) and its file."""
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(root / PACKAGE).with_suffix("").parts)
        yield name.removesuffix("__init__").removesuffix("."), path


def _uses(root: Path, module: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Use]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, functions) for n in ast.walk(f)}
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            place = f"{path.relative_to(root)}:{node.lineno}"
            for used in dict.fromkeys(_imported(node, package, modules)):
                yield Use(place, module, used, id(node) not in inside)


def _imported(node: ast.Import | ast.ImportFrom, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """What of the package an import names, as modules below it; TensorFlow and Keras by these names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        source = node.module or ""
        if node.level:
            parents = [PACKAGE, *filter(None, package.split("."))]
            source = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [source])])
        below = source.removeprefix(PACKAGE).removeprefix(".")
        inner = {alias.name: ".".join(filter(None, [below, alias.name])) for alias in node.names}
        names = [f"{source}.{name}" if inner[name] in modules else source for name in inner]
    for name in names:
        first, _, rest = name.partition(".")
        if first == PACKAGE:
            yield rest
        elif first in _TENSORFLOW:
            yield first


def _check_cpp(root: Path) -> Iterator[str]:
    for path in sorted((root / "tflm_kernels").rglob("*")):
        part = _cpp_part_of(path.relative_to(root))
        if part and path.suffix in (".h", ".cc", ".inc"):
            yield from _check_includes(root, path, part)


def _cpp_part_of(path: Path) -> Part | None:
    """Folders without a rule (boards, benchmarks) have none."""
    return next((part for part in CPP_PARTS for folder in part.members if path.is_relative_to(folder)), None)


def _check_includes(root: Path, path: Path, part: Part) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    own = [f"{folder}/*" for folder in part.members]
    for match in _INCLUDE.finditer(text):
        if not _matches(match[1], [*own, *part.may_use]):
            line = text.count("\n", 0, match.start(1)) + 1
            yield (
                f"{path.relative_to(root)}:{line}: {part.name} may not include {match[1]}; "
                f"it may include {_listed(part.may_use)}"
            )


def _shown(room: str) -> str:
    return room or "the package's top"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _dotted(name: str) -> str:
    return f"{PACKAGE}.{name}" if name else PACKAGE


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(patterns) or "nothing else of the project"


def main() -> None:
    violations = check(Path(__file__).resolve().parent.parent)
    for sentence in violations:
        print(sentence, file=sys.stderr)
    sys.exit(bool(violations))


if __name__ == "__main__":
    main()
