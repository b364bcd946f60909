"""What every run says at its end: how many tests the machine kept from running, and what they lack."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support import shared_data

# What a test lacks -> what its reason to skip says then.
_LACKS = {
    "the shared models and samples": re.escape(shared_data.REMEDY),
    "TFLM's sources": r"\b(TFLM_DIR|CMSIS_NN_DIR)\b",
    "TensorFlow or what Bazel builds, which the quick tests leave out": r"^(Skipped: )?needs ",
    "a program or package": r"apt-get install|is missing",
}


def lacking(reasons: Sequence[str]) -> str:
    """A line for people: how many of the skipped tests lack what; "" if none is skipped."""
    if not reasons:
        return ""
    whats = [next((what for what, said in _LACKS.items() if re.search(said, r)), "something else") for r in reasons]
    counts = ", ".join(f"{count} for want of {what}" for what, count in Counter(whats).most_common())
    return f"{len(reasons)} tests were skipped: {counts}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", ())]
    if line := lacking(reasons):
        terminalreporter.section("not run here")
        terminalreporter.write_line(line)


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
