"""Every rule of world files is enforced by name, place, value and way out."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world_documents import ITEMS, loose_document, strict_document, write

from igsm_pipeline.errors import BadWorld
from igsm_pipeline.world.world import load_world, parse_world

Change = Callable[[dict[str, Any]], object]


def _layer(document: dict[str, Any], layer: int) -> dict[str, Any]:
    return document["hierarchies"][0]["layers"][layer]


def _put(layer: int, item: int, value: object) -> Change:
    """Replace one item."""

    def change(document: dict[str, Any]) -> None:
        (items,) = _layer(document, layer)["subcategories"].values()
        items[item] = value

    return change


SHELVES = "mine.json: hierarchies[0].layers[1].subcategories['All Shelf Kinds']"

NAMES = {
    "apostrophe": (_put(1, 2, "Reader's Nook"), f"{SHELVES}[2]", 'not "\'"', "Reader's Nook"),
    "full stop": (_put(1, 2, "St. Mark Shelf"), f"{SHELVES}[2]", "must not hold '.'", "St. Mark Shelf"),
    "comma": (_put(1, 2, "Oak, Stained"), f"{SHELVES}[2]", "must not hold ','", "Oak, Stained"),
    "semicolon": (_put(1, 2, "Oak; Stained"), f"{SHELVES}[2]", "must not hold ';'", "Oak; Stained"),
    "equals sign": (_put(1, 2, "Oak = Case"), f"{SHELVES}[2]", "must not hold '='", "Oak = Case"),
    "digit": (_put(1, 2, "Shelf 9"), f"{SHELVES}[2]", "not '9'", "Shelf 9"),
    "word and": (_put(1, 2, "Nut And Bolt"), f"{SHELVES}[2]", "the word 'And'", "Nut And Bolt"),
    "word as": (_put(1, 2, "Good as Gold"), f"{SHELVES}[2]", "the word 'as'", "Good as Gold"),
    "word each": (_put(1, 2, "One Each Way"), f"{SHELVES}[2]", "the word 'Each'", "One Each Way"),
    "five words": (_put(1, 2, "One Two Three Four Five"), f"{SHELVES}[2]", "must be 1 to 4 words", "One Two Three Four Five"),
    "empty": (_put(1, 2, ""), f"{SHELVES}[2]", "single spaces", ""),
    "double space": (_put(1, 2, "Glass  Cabinet"), f"{SHELVES}[2]", "single spaces", "Glass  Cabinet"),
    "outer space": (_put(1, 2, "Glass Cabinet "), f"{SHELVES}[2]", "single spaces", "Glass Cabinet "),
    "line break": (_put(1, 2, "Glass\nCabinet"), f"{SHELVES}[2]", "printable", "Glass\nCabinet"),
    "lone surrogate": (_put(1, 2, "Glass \ud800"), f"{SHELVES}[2]", "printable", "Glass \ud800"),
    "lone hyphen": (_put(1, 2, "Glass - Cabinet"), f"{SHELVES}[2]", "without letters", "Glass - Cabinet"),
    "not a string": (_put(1, 2, 7), f"{SHELVES}[2]", "must be a string", 7),
    "category": (_put(1, 2, "Book"), f"{SHELVES}[2]", "must not equal a category", "Book"),
    "repeat": (_put(1, 2, "Attic Plank"), f"{SHELVES}[3]", "unique within its hierarchy", "Attic Plank"),
    "repeat across layers": (_put(1, 2, "Abbey Stacks"), f"{SHELVES}[2]", "unique within its hierarchy", "Abbey Stacks"),
    "beginning": (_put(1, 2, "Attic"), f"{SHELVES}[2]", "must not be the beginning of 'Attic Plank'", "Attic"),
    "beginning across layers": (_put(1, 2, "Star"), f"{SHELVES}[2]", "must not be the beginning of 'Star Atlas'", "Star"),
    "beginning within a word": (_put(1, 2, "Atti"), f"{SHELVES}[2]", "must not be the beginning of 'Attic Plank'", "Atti"),
    "end": (_put(1, 2, "Plank"), f"{SHELVES}[2]", "must not be the end of 'Attic Plank'", "Plank"),
    "end within a word": (_put(1, 2, "lank"), f"{SHELVES}[2]", "must not be the end of 'Attic Plank'", "lank"),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_breaks_a_rule_is_refused_with_path_rule_and_value(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, field, rule, got = NAMES[case]
    document = strict_document()
    change(document)
    monkeypatch.chdir(write(document, tmp_path).parent)
    with pytest.raises(BadWorld) as caught:
        load_world("mine.json")
    assert caught.value.field == field
    assert rule in caught.value.rule
    assert caught.value.got == got
    assert caught.value.way_out
    assert field in str(caught.value)
    assert repr(got) in str(caught.value)


SHAPES: dict[str, tuple[Change, str, str]] = {
    "no hierarchies key": (lambda d: d.pop("hierarchies"), "mine.json", "must have 'hierarchies'"),
    "no hierarchy": (lambda d: d.update(hierarchies=[]), "mine.json: hierarchies", "must hold 1 to 255"),
    "hierarchies not a list": (lambda d: d.update(hierarchies={}), "mine.json: hierarchies", "must be a list"),
    "unknown key": (lambda d: d.update(author="me"), "mine.json", "must have no keys but"),
    "lenient not a boolean": (lambda d: d.update(lenient="yes"), "mine.json: lenient", "must be true or false"),
    "hierarchy not an object": (lambda d: d.update(hierarchies=[3]), "mine.json: hierarchies[0]", "must be an object"),
    "three layers": (lambda d: d["hierarchies"][0]["layers"].pop(), "mine.json: hierarchies[0].layers", "must hold exactly 4"),
    "five layers": (
        lambda d: d["hierarchies"][0]["layers"].append(_layer(strict_document(), 0)),
        "mine.json: hierarchies[0].layers",
        "must hold exactly 4",
    ),
    "no category": (lambda d: _layer(d, 2).pop("category"), "mine.json: hierarchies[0].layers[2]", "must have 'category'"),
    "category not a string": (lambda d: _layer(d, 2).update(category=None), "mine.json: hierarchies[0].layers[2].category", "must be a string"),
    "category breaks a name rule": (
        lambda d: _layer(d, 2).update(category="Book."),
        "mine.json: hierarchies[0].layers[2].category",
        "must not hold '.'",
    ),
    "category twice": (lambda d: _layer(d, 2).update(category="Shelf"), "mine.json: hierarchies[0].layers[2].category", "must be unique"),
    "no sub-category": (lambda d: _layer(d, 2).update(subcategories={}), "mine.json: hierarchies[0].layers[2].subcategories", "must hold 1 to 255"),
    "sub-categories a list": (lambda d: _layer(d, 2).update(subcategories=[]), "mine.json: hierarchies[0].layers[2].subcategories", "must map"),
    "sub-category without a name": (
        lambda d: _layer(d, 2)["subcategories"].update({"": ITEMS["Book"]}),
        "mine.json: hierarchies[0].layers[2].subcategories",
        "must have printable names",
    ),
    "items not a list": (lambda d: _layer(d, 1).update(subcategories={"All Shelf Kinds": "Oak"}), SHELVES, "must be a list"),
    "three items": (lambda d: _layer(d, 1)["subcategories"]["All Shelf Kinds"].pop(), SHELVES, "must hold 4 to 255"),
    "too many items": (lambda d: _layer(d, 1)["subcategories"]["All Shelf Kinds"].extend(["Oak"] * 252), SHELVES, "must hold 4 to 255"),
}


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_a_file_of_another_shape_is_refused_lenient_or_not(case: str, lenient: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, field, rule = SHAPES[case]
    document = strict_document()
    change(document)
    monkeypatch.chdir(write(document, tmp_path).parent)
    with pytest.raises(BadWorld) as caught:
        load_world("mine.json", lenient=lenient)
    assert caught.value.field == field
    assert rule in caught.value.rule


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"hierarchies": NaN}', b"null", b'"igsm"', b'{"hierarchies": [], "hierarchies": []}']
)
def test_garbage_is_refused_by_file_name(data: bytes) -> None:
    with pytest.raises(BadWorld, match=r"^mine\.json"):
        parse_world(data, "mine.json")


def test_a_sub_category_written_twice_is_refused_rather_than_half_read() -> None:
    text = json.dumps(strict_document()).replace(
        '"All Shelf Kinds": [', '"All Shelf Kinds": ["A Box", "B Box", "C Box", "D Box"], "All Shelf Kinds": ['
    )
    with pytest.raises(BadWorld, match=r"must not repeat a key .* got 'All Shelf Kinds'"):
        parse_world(text.encode(), "mine.json")


def test_a_loose_world_is_refused_unless_lenience_is_asked_for(tmp_path: Path) -> None:
    path = write(loose_document(), tmp_path)
    with pytest.raises(BadWorld, match="lenient: true"):
        load_world(path)
    world = load_world(path, lenient=True)
    assert world.lenient
    assert len(world.places["Abbey Stacks"]) == 2
    assert "Reader's Nook" in world.places


@pytest.mark.parametrize(
    "name", ["Oak; Stained", "Oak = Case", "St. Mark", "Oak, Stained", "Good as Gold", "One each Way", "Book", "Glass\tCabinet", "9"]
)
def test_lenience_still_refuses_names_that_no_parser_could_find_again(name: str, tmp_path: Path) -> None:
    document = strict_document()
    _put(1, 2, name)(document)
    with pytest.raises(BadWorld):
        load_world(write(document, tmp_path), lenient=True)


WORDS = st.sampled_from(
    ["Oak", "Oaken", "Box", "box", "Old", "and", "Andes", "as", "Ash", "each", "Beach", "x9", "Reader's", "a.b", "Book", "Tiny", "É"]
)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=5).map(" ".join), min_size=4, max_size=7))
def test_names_are_accepted_exactly_when_the_law_wording_allows_them(names: list[str]) -> None:
    document = strict_document()
    _layer(document, 1)["subcategories"]["All Shelf Kinds"] = names
    every = [name for layer in document["hierarchies"][0]["layers"] for items in layer["subcategories"].values() for name in items]
    allowed = len(set(every)) == len(every) and not set(every) & {"Library", "Shelf", "Book", "Chapter"}
    allowed = allowed and not any(long.startswith(short) or long.endswith(short) for short, long in itertools.permutations(every, 2))
    allowed = allowed and all(len(name.split()) <= 4 and not re.search(r"['.,;=\d]|\b(and|as|each)\b", name) for name in names)
    try:
        parse_world(json.dumps(document).encode(), "drawn.json")
        accepted = True
    except BadWorld:
        accepted = False
    assert accepted == allowed
