"""The version of the custom ops' options, and what readers refuse of them (docs/format.md F3).

In: an op's options as they stand in a file. Out: nothing, or a sentence that names the key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tflm_quantmcu.base.errors import UsageError

FORMAT_VERSION = 3
# Version of the format -> the first tflm_quantmcu that reads it; every later one does.
READ_SINCE = {2: "0.2.0", 3: "0.2.0"}
STAGE_REMARKS = ("ops", "tile_grid")  # keys of a stage that are for people, see remarks.py


def check_version(op: str, options: Mapping[str, Any]) -> None:
    """Refuses another version of an op's options than those that we read (docs/format.md F3); `op` is its custom code.

    Raises:
      UsageError: with the version.
    """
    version = options.get("version")
    if version not in READ_SINCE:
        known = " and ".join(map(str, READ_SINCE))
        raise UsageError(
            f"{op} has version {version}; supported are {known}: convert the original model anew, or take a "
            "tflm_quantmcu that reads it"
        )


def check_keys(
    op: str,
    options: Mapping[str, Any],
    keys: Iterable[str],
    optional: Mapping[str, Collection[int]],
    remarks: Iterable[str] = (),
) -> None:
    """Refuses keys of an op's options that we do not know.

    Args:
      op: the custom code, for the message.
      options: as they stand in the file, of a version that we read.
      keys: that all versions have.
      optional: those that may be left out from version 3 on, and the values of each that we know.
      remarks: those that may be left out from version 3 on, and whose value is for people.

    Raises:
      UsageError: with the key and what was found.
    """
    version = options["version"]
    for key, known in optional.items():
        if key in options and (version < FORMAT_VERSION or options[key] not in known):
            raise UsageError(
                f"{op} of version {version} has {key} {options[key]}; supported is to leave it out{_or_more(known)}"
            )
    known_keys = {*keys, *optional, *(remarks if version == FORMAT_VERSION else ())}
    for key in sorted(options.keys() - known_keys):
        raise UsageError(f"{op} has the key {key}, which no supported version has")


def _or_more(known: Collection[int]) -> str:
    return f", or {min(known)} to {max(known)}" if len(known) > 1 else ""
