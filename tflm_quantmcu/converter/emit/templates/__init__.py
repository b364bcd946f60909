"""The texts of emitted projects, as jinja2 templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader(__package__, "."),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)


def render(template: str, context: Mapping[str, Any]) -> str:
    """The text of `<template>.jinja`."""
    return _ENVIRONMENT.get_template(f"{template}.jinja").render(context)
