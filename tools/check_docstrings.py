"""Checks docstrings: how they begin, what they say of arrays, and that many parameters are explained one by one.

In: the Python files that git knows below a root. Out: one sentence for each docstring that lacks something; exit code
1 then. Whether what a docstring says is true it cannot know: it looks for a shape and a dtype, or for the function
whose docstring has them ("as of `conv2d`").
"""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "tflm_quantmcu/"  # whose public functions say what they take; of other code only the beginnings count
PARAMETERS = 4  # from so many on they stand under "Args:"
_PREPOSITION = re.compile(
    "(?:about|above|against|among|around|as|at|before|behind|below|beside|between|by|during|except|for|from|in|into|"
    "like|of|off|on|onto|out|over|per|since|than|through|to|towards|under|until|upon|via|with|within|without)\\b",
    re.IGNORECASE,
)
_ARRAY = re.compile(r"ndarray|NDArray|ArrayLike|\b\w*Arrays?\b")
_SHAPE = re.compile(r"\[[^\]]*\]|\bshapes?\b|\bscalar\b|\bflat\b")
_DTYPE = re.compile(
    r"\bu?int(?:8|16|32|64)?\b|\bfloat(?:32|64)?\b|\bbool\b|\bdtypes?\b|\bintegers?\b|\btypes?\b", re.IGNORECASE
)
_ELSEWHERE = re.compile(r"\b(?:as of|as|see|of what) `[\w.]+`")
_ARGS = re.compile(r"^\s*(?:Args|Attributes):$", re.MULTILINE)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True)
class Documented:
    """A public function of the package, or a class by its `__init__`.

    Attributes:
      line: where it begins.
      name: of the function or class.
      types: annotations of parameters and of what it returns, one text.
      num_parameters: besides self and cls.
      docstring: its own, or the class's and that of `__init__` in one.
    """

    line: int
    name: str
    types: str
    num_parameters: int
    docstring: str

    @property
    def lacks(self) -> Iterator[str]:
        """What its docstring does not say."""
        if _ELSEWHERE.search(self.docstring):
            return
        if self.num_parameters >= PARAMETERS and not _ARGS.search(self.docstring):
            yield f"{self.num_parameters} parameters and no Args"
        if _ARRAY.search(self.types):
            if not _SHAPE.search(self.docstring):
                yield "arrays whose shapes are not told"
            if not _DTYPE.search(self.docstring):
                yield "arrays whose dtypes are not told"


def check(root: Path, names: list[str]) -> Iterator[str]:
    """What docstrings lack, in the files of these names below `root`."""
    for name in names:
        path = root / name
        if path.suffix != ".py" or path.is_symlink() or not path.is_file():
            continue
        tree = ast.parse(path.read_text("utf-8"), name)
        yield from _beginnings(name, tree)
        if name.startswith(PACKAGE):
            for found in _public(tree):
                yield from (f"{name}:{found.line}: {found.name} has {what}" for what in found.lacks)


def _beginnings(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | _Function):
            found = _PREPOSITION.match(ast.get_docstring(node) or "")
            if found:
                yield f"{name}:{getattr(node, 'lineno', 1)}: a docstring begins with the preposition '{found[0]}'"


def _public(tree: ast.Module) -> Iterator[Documented]:
    yield from (_documented(f) for f in _functions(tree) if not f.name.startswith("_"))
    for owner in tree.body:
        if isinstance(owner, ast.ClassDef) and not owner.name.startswith("_"):
            for function in _functions(owner):
                if function.name == "__init__":
                    yield _documented(function, owner)
                elif not function.name.startswith("_"):
                    yield _documented(function)


def _functions(owner: ast.Module | ast.ClassDef) -> list[_Function]:
    return [node for node in owner.body if isinstance(node, _Function)]


def _documented(function: _Function, owner: ast.ClassDef | None = None) -> Documented:
    given = function.args
    named = [a for a in (*given.posonlyargs, *given.args, *given.kwonlyargs) if a.arg not in ("self", "cls")]
    types = [a.annotation for a in named] + [function.returns]
    docstrings = [ast.get_docstring(node) or "" for node in (owner, function) if node is not None]
    return Documented(
        line=function.lineno,
        name=owner.name if owner else function.name,
        types=" ".join(ast.unparse(t) for t in types if t is not None),
        num_parameters=len(named),
        docstring="\n".join(docstrings),
    )


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    names = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    sentences = list(check(root, names))
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    sys.exit(bool(sentences))


if __name__ == "__main__":
    main()
