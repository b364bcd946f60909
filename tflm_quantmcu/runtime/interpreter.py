"""Runs a `.tflite` on the host with the real TFLM, our ops loaded when the model has them.

In: a `.tflite` (ours or stock) and arrays. Out: arrays, and the arena bytes that TFLM counted. The kernels are TFLM's
reference kernels and ours, so the values are those of the device; int8 ops that TFLM lacks run as tables of ours (law
A39). Refuses files that are not whole and models that TFLM cannot prepare.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.base.progress import track
from tflm_quantmcu.base.tflm_wheel import interpreter_module
from tflm_quantmcu.graph.target import QUANTMCU, REFERENCE
from tflm_quantmcu.native.exclusive import changed, exclusive
from tflm_quantmcu.native.handshake import load_op_library
from tflm_quantmcu.native.kernel_scratch import asked_as
from tflm_quantmcu.native.least_arena import least_arena_bytes
from tflm_quantmcu.native.op_library import find_op_library, registerers_of
from tflm_quantmcu.placement.memory import OFFLINE_METADATA
from tflm_quantmcu.runtime.allocations import Allocations, generous_arena_bytes
from tflm_quantmcu.runtime.hook import Hook, HookCalls, num_hook_calls
from tflm_quantmcu.runtime.input_reader import InputFeed, InputReader
from tflm_quantmcu.runtime.looked_up import lookups
from tflm_quantmcu.runtime.native_stderr import capture_native_stderr
from tflm_quantmcu.runtime.rehearsal import rehearse, run_on_zeros
from tflm_quantmcu.runtime.samples import to_model_input, to_real
from tflm_quantmcu.runtime.wheel_tensors import fitted, readable_tensors, tensors_of
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.missing_ops import runnable
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile
from tflm_quantmcu.tflite.streaming import find_streamed_input

CUSTOM_PREFIX = b"QMCU_"
_OFFLINE = OFFLINE_METADATA.encode()


class Interpreter:
    """One model on TFLM, ready to run.

    Threads may share one, or have one each: a call of `invoke` is whole, and runs alone in the process. An input reader
    may run other models, in its own thread.

    Attributes:
      inputs, outputs: the model's input and output tensors; where the input is streamed, what its reader gives.
    """

    def __init__(
        self,
        model: AnyModel,
        *,
        arena_bytes: int | None = None,
        preserve_all_tensors: bool = False,
        input_reader: InputReader | None = None,
        hook: Hook | None = None,
        kernel_variant: str = REFERENCE,
        stock_kernels: str = QUANTMCU,
    ) -> None:
        """Prepares the model.

        Args:
          model: the file's bytes or its path, or a ModelFile.
          arena_bytes: of the tensor arena; None takes what the model needs at most.
          preserve_all_tensors: no feature map shares memory with another, so that `tensor` can read
            each; the arena is then neither bounded nor counted.
          input_reader: gives a streamed input region by region: called as (y, x, height, width), all of rows
            [y, y + height) x columns [x, x + width), it returns them as int8 [height, width, C]. `invoke` then takes no
            inputs. None: `invoke`, `run` and `predict` take samples as ever.
          hook: called as (done, total) while an inference runs: at its begin and end, at the begin and end of each op
            of ours and before each tile of a patch stage, `done` from 0 to `total`. Where it returns False the
            inference ends with InferenceStopped.
          kernel_variant, stock_kernels: ops ask for the scratch that they take on cores of this variant of our kernels
            (`target.VARIANTS`), TFLite's own ops on these kernels, so that `allocations` counts the non-persistent
            arena there; values are the same.

        Raises:
          UsageError: no such file, too small an arena, a reader for a model with an input tensor, no TFLM wheel that
            works with this package, or our op library is needed and missing.
          UnsupportedModelError: not a whole `.tflite`, or TFLM cannot prepare it; the sentence has
            TFLM's own words.
        """
        self._file = runnable(ModelFile.of(model))
        tree = self._file.tree
        self._preserves = preserve_all_tensors
        self._is_running = False
        registerers = registerers_of(_has_own_ops(tree), kernel_variant, stock_kernels)
        library = load_op_library(find_op_library()) if registerers else None
        self._variant = kernel_variant if registerers else REFERENCE
        graph = tree.subgraphs[0]
        streamed = None if len(graph.inputs) else find_streamed_input(tree)
        self._feed = InputFeed(library, streamed, input_reader) if library and streamed else None
        self._lookups = lookups(self._file.graph)
        self._hook = HookCalls(library, hook, num_hook_calls(self._file.graph)) if hook else None
        if input_reader is not None and self._feed is None:
            raise UsageError("input_reader is given, and the model's input is not streamed; pass samples to invoke")
        self._registerers = registerers
        self._generous_bytes = generous_arena_bytes(self._file, streamed)
        rehearse(self._file.data, f"{self._registerers} {self._variant}", self._rehearsal)
        self._interpreter = self._prepare(self._generous_bytes)
        wheel = self._interpreter
        self.inputs = (streamed,) if streamed else tensors_of(graph, graph.inputs, wheel.get_input_details)
        self.outputs = tensors_of(graph, graph.outputs, wheel.get_output_details)
        if arena_bytes is not None:
            self._bound_arena(arena_bytes)

    def invoke(self, inputs: np.ndarray | Sequence[np.ndarray] = ()) -> list[np.ndarray]:
        """Runs one sample as it is.

        Args:
          inputs: one array an input, of the input's dtype and shape; a batch dimension of 1 may be left out. None where
            an `input_reader` gives the input.

        Returns:
          The outputs with the model's own dtypes and shapes.

        Raises:
          UsageError: wrong number, type or shape of inputs, or of what the `input_reader` gave; indices of no row.
          UnsupportedModelError: a kernel failed; the sentence has TFLM's own words.
          InferenceStopped: by the `hook`.
        """
        arrays = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        is_read = self._feed is not None and self._feed.has_reader
        taken = () if is_read else self.inputs
        if len(arrays) != len(taken):
            besides = " besides what input_reader gives" if is_read else ""
            raise UsageError(f"{len(arrays)} inputs are given; the model has {len(taken)}{besides}")
        values_in = [fitted(array, tensor) for array, tensor in zip(arrays, taken, strict=True)]
        for place, lookup in self._lookups.items():
            lookup.check(values_in[place], self.inputs[place])
        with exclusive(), self._alone():
            for i, values in enumerate(values_in):
                if self._feed is None:
                    self._interpreter.set_input(values, i)
                else:
                    self._feed.put(values)
            self._run_once()
            return [self._interpreter.get_output(i) for i in range(len(self.outputs))]

    def _run_once(self) -> None:
        with self._watched():
            with self._fed(), capture_native_stderr() as captured:
                failed = False
                try:
                    self._interpreter.invoke()
                except RuntimeError:
                    failed = True
            if failed:
                raise UnsupportedModelError(f"TFLM cannot run the model: {captured.one_line}")
            captured.pass_on()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuses to run the model inside itself: its arena holds one inference."""
        if self._is_running:
            raise UsageError("the input_reader runs the Interpreter that it reads for; make another Interpreter")
        with changed(self._stop):
            self._is_running = True
            yield

    def _stop(self) -> None:
        self._is_running = False

    def run(self, x: np.ndarray, *, progress: bool = False) -> np.ndarray:
        """The first of what `run_all` gives, [N, ...] of that output's dtype; arguments as of `run_all`."""
        return self.run_all(x, progress=progress)[0]

    def run_all(self, x: np.ndarray, *, progress: bool = False) -> list[np.ndarray]:
        """Runs samples one by one.

        Args:
          x: [N, ...]; the model's input type, or reals as `samples.to_model_input` takes them.
          progress: a bar on standard error.

        Returns:
          Each output [N, ...] in the model's own type.

        Raises:
          UsageError: x does not fit, or the model has not exactly one input.
        """
        if len(self.inputs) != 1:
            raise UsageError(f"the model has {len(self.inputs)} inputs; use invoke, one sample a call")
        inputs = to_model_input(x, self.inputs[0])
        samples = [self.invoke(sample) for sample in track(inputs, "running", progress=progress)]
        return [
            np.concatenate(values) if tensor.shape[:1] == (1,) else np.stack(values)
            for tensor, values in zip(self.outputs, zip(*samples, strict=True), strict=True)
        ]

    def predict(self, x: np.ndarray, *, progress: bool = False) -> np.ndarray:
        """The first output as real values: float32 [N, ...]; as `run_all`."""
        return to_real(self.run(x, progress=progress), self.outputs[0])

    def tensor(self, index: int) -> np.ndarray:
        """The values of tensor T#`index` after `invoke`, with the tensor's dtype and shape.

        Raises:
          UsageError: tensors are not preserved, or TFLM keeps no values for this one.
        """
        if not self._preserves:
            raise UsageError("tensors are not preserved; make the Interpreter with preserve_all_tensors=True")
        if index not in self._readable:
            raise UsageError(f"tensor {index} is no input, constant or op output of the model")
        with exclusive():
            return self._interpreter.GetTensor(index, 0)["tensor_data"]

    def allocations(self) -> Allocations:
        """Arena bytes as TFLM counted them.

        Raises:
          UsageError: with `preserve_all_tensors`, where TFLM does not count.
        """
        if self._preserves:
            raise UsageError("the arena is not counted with preserve_all_tensors=True")
        with capture_native_stderr() as captured:
            self._interpreter.print_allocations()
        return Allocations.of_text(captured.text)

    def least_arena_bytes(self) -> int:
        """The smallest `arena_bytes`, a multiple of 16, in which TFLM prepares the model on this host.

        Raises:
          UsageError: with `preserve_all_tensors`, where TFLM does not count.
        """
        return least_arena_bytes(
            self._file,
            used_bytes=self.allocations().total_bytes,
            sufficient_bytes=self._generous_bytes,
            registerers=self._registerers,
            variant=self._variant,
        )

    @functools.cached_property
    def _readable(self) -> frozenset[int]:
        return readable_tensors(self._file.tree)

    def _prepare(self, arena_bytes: int) -> Any:
        """TFLM's own interpreter."""
        tflm = interpreter_module()
        planner = tflm.InterpreterConfig(int(self._preserves))
        # The planner that preserves all tensors refuses a model with offsets; as metadata of no meaning they may stay.
        data = self._file.data.replace(_OFFLINE, _OFFLINE[::-1]) if self._preserves else self._file.data
        failure = None
        with self._fed(), asked_as(self._variant), capture_native_stderr() as captured:
            try:
                interpreter = tflm.Interpreter.from_bytes(
                    data,
                    custom_op_registerers=self._registerers,
                    arena_size=arena_bytes,
                    intrepreter_config=planner,
                )
            except (RuntimeError, ValueError, MemoryError) as error:
                failure = error
        if failure is not None:
            reason = captured.one_line or str(failure)
            raise UnsupportedModelError(f"TFLM cannot prepare the model: {reason}")
        captured.pass_on()
        return interpreter

    def _rehearsal(self) -> None:
        """Prepares the model and runs it on zeros; a user's reader is asked for nothing yet."""
        wheel = self._prepare(self._generous_bytes)
        if self._feed is None or not self._feed.has_reader:
            with self._fed(), capture_native_stderr():
                run_on_zeros(wheel, len(self._file.tree.subgraphs[0].inputs))

    def _fed(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts, a streamed input is there to be read."""
        return self._feed.registered() if self._feed else contextlib.nullcontext()

    def _watched(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts, the hook is called."""
        return self._hook.watching() if self._hook else contextlib.nullcontext()

    def _bound_arena(self, arena_bytes: int) -> None:
        """Prepares the model anew; an arena that is too small may end the process, so TFLM never gets one."""
        if self._preserves:
            raise UsageError("arena_bytes has no effect with preserve_all_tensors=True; leave one out")
        least = self.least_arena_bytes()
        if arena_bytes < least:
            used = self.allocations().total_bytes
            raise UsageError(
                f"arena_bytes is {arena_bytes}; this model uses {used} on this host, and {least} to be prepared"
            )
        self._interpreter = self._prepare(arena_bytes)


def _has_own_ops(tree: schema.ModelT) -> bool:
    codes = (code.customCode for code in tree.operatorCodes)
    return any(code is not None and code.startswith(CUSTOM_PREFIX) for code in codes)
