"""docs/rooms.svg shows check_layers' table, and docs/architecture.md names places that exist."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools import draw_rooms
from tools.check_layers import ROOMS, Room

ROOT = Path(__file__).parents[2]
PATH = re.compile(r"`((?:tflm_quantmcu|tflm_kernels|tools|tests|docs)/[\w./-]+)`")


def test_the_picture_is_of_this_table() -> None:
    assert draw_rooms.PICTURE.read_text("utf-8") == draw_rooms.draw(ROOMS), "run `python -m tools.draw_rooms`"


def test_every_room_is_drawn_above_all_that_it_uses() -> None:
    floor = draw_rooms.floors(ROOMS)
    assert all(floor[room.name] > floor[used] for room in ROOMS for used in room.uses)
    texts = {text.text for text in ElementTree.fromstring(draw_rooms.draw(ROOMS)).iter() if text.tag.endswith("text")}
    assert {f"{room.name}/" for room in ROOMS if room.name} <= texts


def test_another_table_makes_another_picture() -> None:
    rooms = [Room("base"), Room("graph", ("base",)), Room("law", ("base",))]
    assert draw_rooms.floors(rooms) == {"base": 0, "graph": 1, "law": 1}
    assert draw_rooms.draw(rooms) != draw_rooms.draw(rooms[:2])


def test_architecture_names_places_that_exist() -> None:
    named = PATH.findall((ROOT / "docs/architecture.md").read_text("utf-8"))
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(
    "asked",
    [
        "patches decided", "VDQS's score", "predicts the arena", "run one test", "ops are supported", "flags are there",
        "TFLM versions", "real board", "warm-up tile", "add an op",
    ],
)  # fmt: skip
def test_what_newcomers_ask_has_a_row_that_leads_somewhere(asked: str) -> None:
    rows = [line for line in (ROOT / "docs/architecture.md").read_text("utf-8").splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if asked in row.split("|")[1]]
    assert PATH.search(row) or "](" in row
