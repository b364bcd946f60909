"""Traces one conversion: how often it asks what should be asked once, and the way that it takes through the rooms.

    python -m tools.room_walk MODEL.tflite [--search uniform ...]     # flags of `tflm_quantmcu convert`

In: a model and flags. Out: a table. Three rooms lead the work: `app/`, `search/` and `converter/`. The walk is the
sequence of rooms whose functions they call and whose objects they make, one after the other, as the conversion
proceeds. Steps that follow each other into the same room count once; methods of an object are no step of their own, nor
is what a room that does not lead calls in turn. `base/`, `graph/` and `app/` are left out: types, helpers, and where
the walk begins. A return is a step into a room that the walk has left before.
"""

from __future__ import annotations

import argparse
import collections
import inspect
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tflm_quantmcu"
LEADS = ("app", "search", "converter")
NO_STEPS = ("", "base", "graph", "app")
# The first three should be called once an op (and width), the others once a file.
ASKED = ("why_unsupported", "inner_ops_of", "lower_op", "check_flatbuffer", "graph_of")


class Tracer:
    """A profile function (`sys.setprofile`) that counts.

    Attributes:
      calls: of each function in ASKED, by its name.
      entries: calls from one room into another, nested ones too.
      walk: rooms in the order in which those that lead call them.
    """

    def __init__(self, package: Path) -> None:
        self._package = f"{package}/"
        self._rooms: dict[CodeType, str | None] = {}
        self.calls = dict.fromkeys(ASKED, 0)
        self.entries = 0
        self.walk: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or (room := self._room(frame.f_code)) is None:
            return
        if frame.f_code.co_name in self.calls:
            self.calls[frame.f_code.co_name] += 1
        caller = self._caller(frame)
        if caller == room:
            return
        self.entries += 1
        is_step = caller in LEADS and room not in NO_STEPS and not _is_method(frame.f_code)
        if is_step and self.walk[-1:] != [room]:
            self.walk.append(room)

    @property
    def num_returns(self) -> int:
        """Entries of the walk into a room that it has left before."""
        return len(self.walk) - len(set(self.walk))

    def _caller(self, frame: FrameType) -> str | None:
        """The room of the nearest frame of ours; what stands between (numpy, functools) is passed over."""
        above = frame.f_back
        while above is not None and (room := self._room(above.f_code)) is None:
            above = above.f_back
        return room if above is not None else None

    def _room(self, code: CodeType) -> str | None:
        if code not in self._rooms:
            path = code.co_filename
            inside = path.removeprefix(self._package).split("/") if path.startswith(self._package) else None
            is_function = code.co_flags & inspect.CO_OPTIMIZED  # bodies of modules and classes are not
            self._rooms[code] = None if inside is None or not is_function else inside[0] if len(inside) > 1 else ""
        return self._rooms[code]


def _is_method(code: CodeType) -> bool:
    return code.co_varnames[:1] == ("self",) and code.co_name != "__init__"


def trace(package: Path, run: Callable[[], object]) -> Tracer:
    """Runs something under a tracer of the package in this folder."""
    tracer = Tracer(package)
    sys.setprofile(tracer)
    try:
        run()
    finally:
        sys.setprofile(None)
    return tracer


def table(tracer: Tracer, seconds: float, num_ops: int) -> str:
    """What was found, as text."""
    visits = collections.Counter(tracer.walk)
    rows: list[tuple[str, object]] = [("ops of the model", num_ops), ("seconds, untraced", f"{seconds:.1f}")]
    rows += [(f"calls of {name}", count) for name, count in tracer.calls.items()]
    rows += [("calls from one room into another", tracer.entries), ("steps of the walk", len(tracer.walk))]
    rows += [("returns to a room that it left", tracer.num_returns)]
    lines = [f"{label:36}{value:>9}" for label, value in rows]
    lines += [f"  visits of {room:24}{count:>9}" for room, count in visits.most_common()]
    return "\n".join([*lines, f"walk: {' '.join(tracer.walk)}"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--checkout", type=Path, default=ROOT, help="any checkout of this project, default this one")
    own, flags = parser.parse_known_args(arguments)
    sys.path.insert(0, str(own.checkout.resolve()))
    import tflm_quantmcu
    from tflm_quantmcu import cli
    from tflm_quantmcu.tflite.reader import read_model

    with tempfile.TemporaryDirectory() as folder:
        command = ["convert", "--model", str(own.model), "--output", f"{folder}/converted.tflite", *flags]
        begin = time.perf_counter()
        cli.main(command)
        seconds = time.perf_counter() - begin
        tracer = trace(Path(tflm_quantmcu.__file__).parent, lambda: cli.main(command))
    print(table(tracer, seconds, len(read_model(own.model.read_bytes()).ops)))


if __name__ == "__main__":
    main()
