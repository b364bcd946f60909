"""Checks the limits that CONTRIBUTING.md states: lines of files and functions, documents' width, links and numbers.

In: the files that git knows below a root. Out: one sentence for each that exceeds a limit; exit code 1 then.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

FILE_LINES = 300
TEST_FILE_LINES = 450  # cases are data
FUNCTION_LINES = 40  # without its head and docstring
COLUMNS = 120  # of prose; ruff and clang-format hold code to it
# Files and functions (`file.py:name`) that are longer, and may not grow; who divides one strikes it out, which is
# checked too. There is none.
LONGER: Mapping[str, int] = {}
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_DECISIONS = "docs/decisions/"
_ROOT = Path(__file__).resolve().parent.parent


def check(root: Path, names: list[str]) -> Iterator[str]:
    """What exceeds a limit, of the files of these names below `root`."""
    for name in names:
        path = root / name
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix in (".py", ".cc", ".h"):
            text = path.read_text("utf-8")
            num_lines = text.count("\n")
            limit = TEST_FILE_LINES if name.startswith("tests/") else FILE_LINES
            if num_lines > LONGER.get(name, limit):
                limit = LONGER.get(name, limit)
                yield f"{name} has {num_lines} lines; at most {limit}: give an idea of it a file of its own"
            elif name in LONGER and num_lines <= limit:
                yield f"{name} has {num_lines} lines: strike it out of LONGER in tools/check_limits.py"
            if path.suffix == ".py":
                yield from _long_functions(name, text)
        elif path.suffix == ".md":
            yield from _wide_lines(name, path.read_text("utf-8"))
            yield from _dead_links(path, name)
    yield from _shared_numbers(names)


def _shared_numbers(names: Sequence[str]) -> Iterator[str]:
    """Pages of decisions that have the number of another."""
    pages = [name for name in names if name.startswith(_DECISIONS)]
    numbers = Counter(name[len(_DECISIONS) :].split("-")[0] for name in pages)
    for number in (number for number, count in numbers.items() if count > 1):
        yield f"{_DECISIONS}: {numbers[number]} pages have the number {number}; give the later one the next free number"


def _long_functions(name: str, text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            limit = LONGER.get(f"{name}:{node.name}", FUNCTION_LINES)
            num_lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            if num_lines > limit:
                yield f"{name}:{node.lineno}: {node.name} has {num_lines} lines; at most {limit}"
            elif num_lines <= FUNCTION_LINES < limit:
                yield f"{name}:{node.name} has {num_lines} lines: strike it out of LONGER in tools/check_limits.py"


def _wide_lines(name: str, text: str) -> Iterator[str]:
    """Wide lines of prose alone: tables, code and what a link makes long stay as they are."""
    in_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith(("|", "    ")) and len(line) > COLUMNS and " " in line[:COLUMNS]:
            yield f"{name}:{number}: {len(line)} columns; at most {COLUMNS}"


def _dead_links(path: Path, name: str) -> Iterator[str]:
    """Links within the tree to a file, or to a heading of one, that is not there."""
    for match in _LINK.finditer(_without_code(path.read_text("utf-8"))):
        target, _, heading = match[1].partition("#")
        file = (path.parent / target) if target else path
        if not file.exists():
            yield f"{name}: the link to {match[1]} leads nowhere"
        elif heading and file.suffix == ".md" and heading not in _anchors(file):
            yield f"{name}: the link to {match[1]} names a heading that is not there"


def _anchors(file: Path) -> set[str]:
    """Names that links give a document's headings."""
    headings = re.findall(r"^#+ (.*)$", _without_code(file.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def main() -> None:
    names = subprocess.run(["git", "ls-files"], cwd=_ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    sentences = list(check(_ROOT, names))
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    sys.exit(bool(sentences))


if __name__ == "__main__":
    main()
