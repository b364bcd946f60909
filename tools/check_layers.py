"""Checks that dependencies point one way; the rules are the two tables below.

In: a source tree. Out: one sentence for each import or #include that its part may not use, and for each
import cycle. Imports inside functions count too: they hide a dependency, they do not remove it.
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
class Part:
    """A part of the tree and all that it may use beside itself.

    Attributes:
      name: shown in messages.
      members: Python: module names below the package; C++: folders. The first part that matches owns a file,
        of C++ also the files of folders below.
      may_use: Python: names of parts; C++: included files. Patterns as of fnmatch.
    """

    name: str
    members: Sequence[str]
    may_use: Sequence[str]


PYTHON_PARTS = (
    Part("types", ("calibration_result", "errors", "json_text", "precision_plan", "types"), ()),
    Part("converter", ("converter", "converter.*"), ("types", "analysis")),
    Part("search", ("search", "search.*"), ("types", "analysis")),
    Part("command line", ("cli", "__main__"), ("*",)),
    Part(
        "interface",
        (
            "",
            "activation_calibrator",
            "api",
            "compare",
            "evaluation",
            "finetuning",
            "inspection",
            "keras_export",
            "plan_costs",
            "report",
        ),
        ("types", "analysis", "search", "converter"),
    ),
    Part("analysis", ("*",), ("types",)),
)

_LIBC = ("stdint.h", "stddef.h", "string.h")
_PORTABLE = "tflm_kernels/portable/*"
_LAW = "tflm_kernels/portable/law/*"
_OPS = "tflm_kernels/portable/ops/*"
_KERNELS = "tflm_kernels/cortex_m/kernels.h"
_SCRATCH = "tflm_kernels/cortex_m/scratch.h"
CPP_PARTS = (
    Part("law", ("tflm_kernels/portable/law",), _LIBC),
    Part("ops", ("tflm_kernels/portable/ops",), (_LAW, *_LIBC)),
    Part("stage", ("tflm_kernels/portable/stage",), (_LAW, _OPS, *_LIBC)),
    Part("portable", ("tflm_kernels/portable",), (_PORTABLE, *_LIBC)),
    Part("dsp", ("tflm_kernels/cortex_m/dsp",), (_LAW, _OPS, *_LIBC, "arm_acle.h")),
    Part("mve", ("tflm_kernels/cortex_m/mve",), (_LAW, _OPS, *_LIBC, "arm_mve.h")),
    Part("cortex_m", ("tflm_kernels/cortex_m",), (_PORTABLE, *_LIBC)),
    Part("aot", ("tflm_kernels/aot",), (_PORTABLE, _KERNELS, *_LIBC)),
    Part(
        "micro",
        ("tflm_kernels/micro",),
        (
            _PORTABLE,
            _KERNELS,
            _SCRATCH,
            *_LIBC,
            "third_party/tflm_abi/*",
            "tensorflow/lite/*",
            "python/tflite_micro/*",
            "flatbuffers/*",
        ),
    ),
)

_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def check(root: Path) -> list[str]:
    """All violations below `root`, the folder that holds tflm_quantmcu/, converter/ and tflm_kernels/."""
    return [*_check_python(root), *_check_cpp(root)]


def _check_python(root: Path) -> Iterator[str]:
    modules = dict(_modules(root))
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        part = _part_of(module, PYTHON_PARTS)
        used = set(_imports(module, path, modules))
        graph[module] = {name for name, _ in used}
        for name, line in sorted(used, key=lambda use: use[1]):
            other = _part_of(name, PYTHON_PARTS)
            if other is not part and not _matches(other.name, part.may_use):
                yield (
                    f"{path.relative_to(root)}:{line}: {part.name} may not use {other.name} "
                    f"({_dotted(name)}); it may use {_listed(part.may_use)}"
                )
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield "import cycle: " + " <- ".join(_dotted(name) for name in error.args[1])


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module as its name below the package ('' is the package itself) and its file."""
    for folder, prefix in ((root / PACKAGE, ()), (root / "converter", ("converter",))):
        for path in sorted(folder.rglob("*.py")):
            inner = path.relative_to(folder).with_suffix("").parts
            if prefix == () and inner[0] == "converter":
                continue  # the link to the folder converter/
            name = ".".join((*prefix, *inner))
            yield name.removesuffix("__init__").removesuffix("."), path


def _imports(module: str, path: Path, modules: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """(module of ours, line) for each import in the file."""
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _ours(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = [PACKAGE, *filter(None, module.split("."))]
                parents = parents[: len(parents) - node.level + is_package]
                source = ".".join([*parents, *filter(None, [source])])
            for alias in node.names:
                below = f"{source}.{alias.name}".removeprefix(f"{PACKAGE}.")
                is_module = source.split(".")[0] == PACKAGE and below in modules
                yield from _ours(f"{source}.{alias.name}" if is_module else source, node.lineno)


def _ours(dotted: str, line: int) -> Iterator[tuple[str, int]]:
    package, _, name = dotted.partition(".")
    if package == PACKAGE:
        yield name, line


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


def _part_of(name: str, parts: Sequence[Part]) -> Part:
    return next(part for part in parts if _matches(name, part.members))


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
