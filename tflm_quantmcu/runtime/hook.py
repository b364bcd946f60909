"""Calls a Python function while a model runs, through the op library's one hook (tflm_kernels/micro/hook.h).

In: a function (done, total). It is called before an inference, at the begin and end of each op of ours, before each
tile of a patch stage, and behind the inference: `total` + 1 times, with `done` from 0 to `total`. Stock ops between
these call nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator

from tflm_quantmcu.base.errors import InferenceStopped
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.native.exclusive import changed
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, program_of

# (done, total) -> whether to go on; None is yes.
Hook = Callable[[int, int], "bool | None"]
_HookFunction = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)


class HookCalls:
    """A hook of one model.

    Args:
      library: the op library; None of a model without ops of ours.
      hook: what is called.
      num_calls: by the op library, of one inference.
    """

    def __init__(self, library: ctypes.CDLL | None, hook: Hook, num_calls: int) -> None:
        self._library = library
        self._hook = hook
        self._total = num_calls + 1
        self._done = 0
        self._failure: BaseException | None = None
        self._callback = _HookFunction(self._called)  # it must live as long as this

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While it lasts one inference runs, and the hook is called.

        Raises:
          InferenceStopped: the hook gave False; what it raised is raised again.
        """
        self._done, self._failure = 0, None
        self._require(self._tell(0))
        if self._library is None:
            yield
        else:
            with changed(self._leave):
                self._library.QuantMcuSetHook(self._callback, None)
                try:
                    yield
                except Exception:
                    if self._failure is None:
                        raise
        self._require(self._failure is None and self._tell(self._total))

    def _leave(self) -> None:
        assert self._library is not None
        self._library.QuantMcuSetHook(None, None)

    def _called(self, _context: int | None, _progress: int | None) -> bool:
        self._done += 1
        return self._failure is None and self._tell(self._done)

    def _tell(self, done: int) -> bool:
        try:
            if self._hook(done, self._total) is False:
                self._failure = InferenceStopped(f"the hook stopped the inference at {done} of {self._total}")
        except BaseException as error:  # nothing may leave a callback
            self._failure = error
        return self._failure is None

    def _require(self, goes_on: bool) -> None:
        if not goes_on and self._failure is not None:
            raise self._failure


def num_hook_calls(graph: ModelGraph) -> int:
    """How often the op library calls its hook in one inference."""
    own = [op for op in graph.ops if op.kind.startswith(PREFIX)]
    tiles = [len(list(program_of(graph, op).visits())) for op in own if op.kind == PATCH_STAGE]
    return 2 * len(own) + sum(tiles)
