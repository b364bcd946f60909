"""A pytest plugin: tests at every save, without TensorFlow and without what Bazel builds.

    python -m pytest -p tests.support.quick tests/law

TensorFlow and Keras cannot be imported, and the C++ libraries are said to be where there is none. A test that fails for
want of them is left out, as a skipped one with its reason; any other failure stays one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator

import pytest

from tests.support import kernels
from tflm_quantmcu.native import op_library

NOWHERE = "/left/out/by/quick/tests.so"
MODULES = ("tensorflow", "keras")
# What a failure for want of them says.
_MISSING = {
    "what Bazel builds": re.escape(NOWHERE),
    "TensorFlow": rf"import of ({'|'.join(MODULES)})\b|Keras models need TensorFlow",
}


def pytest_configure() -> None:
    for module in MODULES:
        if sys.modules.get(module) is not None:
            raise pytest.UsageError(f"{module} is imported already: the quick tests begin without it")
        sys.modules[module] = None  # type: ignore[assignment]  # what an import of it then raises is caught as missing
    for variable in (op_library.PATH_VARIABLE, kernels.PATH_VARIABLE):
        os.environ[variable] = NOWHERE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.excinfo and (what := _missing(str(call.excinfo.value))):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), (item.location[1] or 0) + 1, what)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.failed and (what := _missing(report.longreprtext)):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 1, what)
    return report


def pytest_sessionfinish() -> None:
    loaded = [module for module in MODULES if sys.modules.get(module) is not None]
    if loaded:
        raise pytest.UsageError(f"the quick tests imported {' and '.join(loaded)}")


def _missing(text: str) -> str:
    return next((f"needs {what}" for what, said in _MISSING.items() if re.search(said, text)), "")
