"""The rules that a world file must keep, each refused with file, path in it, rule, value and way out.

Source: the released worlds (see docs/law.md): four layers of categories, sub-categories of items, names that no sentence of an iGSM text can be
confused with. Ours: the limits on counts (an item index is one byte, a problem layer has up to four items).
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import pairwise
from typing import Any

from igsm_pipeline.errors import BadWorld

NUM_LAYERS = 4
MIN_ITEMS, MAX_ITEMS = 4, 255
MAX_HIERARCHIES = MAX_SUBCATEGORIES = 255
MAX_WORDS = 4
RESERVED_WORDS = frozenset({"and", "as", "each"})
_PUNCTUATION = ".,;=?*"
_LENIENT_RESERVED_WORDS = frozenset({"as", "each"})
_SHORTEN = "shorten, rename or remove it"


def check_document(document: object, file: str, *, lenient: bool) -> None:
    """Check a whole world document, as JSON gives it.

    Args:
        document: the parsed file.
        file: what errors call it.
        lenient: accept names as other people's worlds have them: any number of words, apostrophes, hyphens, ampersands, digits, the word
            "and", repeats across sub-categories, names that begin or end others.

    Raises:
        BadWorld: the first broken rule.
    """
    top = _mapping(document, file, {"hierarchies"}, {"lenient"})
    if not isinstance(top.get("lenient", False), bool):
        raise BadWorld(f"{file}: lenient", "must be true or false", top["lenient"], "correct it or leave it out")
    hierarchies = _list(top["hierarchies"], f"{file}: hierarchies", 1, MAX_HIERARCHIES, "hierarchies")
    for h, hierarchy in enumerate(hierarchies):
        _check_shape(hierarchy, f"{file}: hierarchies[{h}]")
    categories = {layer["category"] for hierarchy in hierarchies for layer in hierarchy["layers"]}
    for h, hierarchy in enumerate(hierarchies):
        _check_names(hierarchy, f"{file}: hierarchies[{h}]", categories, lenient)


def _check_shape(hierarchy: object, path: str) -> None:
    """Keys, types and counts of one hierarchy; names are only known to be strings afterwards."""
    layers = _list(_mapping(hierarchy, path, {"layers"})["layers"], f"{path}.layers", NUM_LAYERS, NUM_LAYERS, "layers")
    for i, layer in enumerate(layers):
        here = f"{path}.layers[{i}]"
        entry = _mapping(layer, here, {"category", "subcategories"})
        _string(entry["category"], f"{here}.category")
        subcategories = entry["subcategories"]
        if not isinstance(subcategories, dict):
            raise BadWorld(f"{here}.subcategories", "must map sub-category names to lists of items", _kind(subcategories), "write an object")
        if not 1 <= len(subcategories) <= MAX_SUBCATEGORIES:
            raise BadWorld(f"{here}.subcategories", f"must hold 1 to {MAX_SUBCATEGORIES} sub-categories", len(subcategories), "add or remove some")
        for name, items in subcategories.items():
            if not name or name != " ".join(name.split()) or not name.isprintable():
                raise BadWorld(f"{here}.subcategories", "must have printable names with single spaces", name, "rename the sub-category")
            there = f"{here}.subcategories[{name!r}]"
            for j, item in enumerate(_list(items, there, MIN_ITEMS, MAX_ITEMS, "items")):
                _string(item, f"{there}[{j}]")


def _check_names(hierarchy: dict[str, Any], path: str, categories: set[str], lenient: bool) -> None:
    """Every name of one hierarchy by itself, then against the others."""
    own: set[str] = set()
    for i, layer in enumerate(hierarchy["layers"]):
        field, name = f"{path}.layers[{i}].category", layer["category"]
        _check_name(name, field, lenient)
        if name in own:
            raise BadWorld(field, "must be unique within its hierarchy", name, "rename the category")
        own.add(name)
    seen: dict[str, str] = {}
    for field, subcategory, name in _items(hierarchy, path):
        _check_name(name, field, lenient)
        if name in categories:
            raise BadWorld(field, "must not equal a category", name, "rename the item")
        key = f"{subcategory}\n{name}" if lenient else name
        if key in seen:
            within = "sub-category" if lenient else "hierarchy"
            raise BadWorld(field, f"must be unique within its {within} ({seen[key]} has it too)", name, "rename one of the two")
        seen[key] = field
    if not lenient:
        _check_affixes(seen)


def _items(hierarchy: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    """(path of the item, path of its sub-category, name) of every item."""
    for i, layer in enumerate(hierarchy["layers"]):
        for subcategory, items in layer["subcategories"].items():
            there = f"{path}.layers[{i}].subcategories[{subcategory!r}]"
            for j, name in enumerate(items):
                yield f"{there}[{j}]", there, name


def _check_name(name: str, field: str, lenient: bool) -> None:
    """One item or category name by itself."""
    words = name.split(" ")
    if "" in words or not name.isprintable():
        raise BadWorld(field, "must be printable words with single spaces between them", name, "remove the other characters")
    if not lenient and len(words) > MAX_WORDS:
        raise BadWorld(field, f"must be 1 to {MAX_WORDS} words", name, _lenient_or(_SHORTEN))
    for character in name:
        if character in _PUNCTUATION:
            raise BadWorld(field, f"must not hold {character!r} (it punctuates problem texts)", name, "leave the character out")
        if not lenient and not (character.isalpha() or character in " -"):
            raise BadWorld(field, f"must be letters, spaces and hyphens (not {character!r})", name, _lenient_or("leave the character out"))
    if not any(character.isalpha() for character in name):
        raise BadWorld(field, "must hold a letter", name, "rename it")
    for word in words:
        if word.lower() in (_LENIENT_RESERVED_WORDS if lenient else RESERVED_WORDS):
            raise BadWorld(field, f"must not hold the word {word!r} (problem texts use it)", name, "rename it")
        if not any(character.isalnum() or character == "&" for character in word):
            raise BadWorld(field, "must not hold a word without letters", name, "rename it")


def _check_affixes(paths: dict[str, str]) -> None:
    """No name may begin or end another. In sorted order, whatever begins any name also begins the next one."""
    for backwards, rule in ((False, "must not be the beginning of"), (True, "must not be the end of")):
        ordered = sorted(name[::-1] if backwards else name for name in paths)
        for short, long in pairwise(ordered):
            if long.startswith(short):
                name, other = (short[::-1], long[::-1]) if backwards else (short, long)
                raise BadWorld(paths[name], f"{rule} {other!r} ({paths[other]})", name, _lenient_or("rename one of the two"))


def _mapping(value: object, path: str, required: Set[str], optional: Set[str] = frozenset()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadWorld(path, f"must be an object with {_listed(required)}", _kind(value), "see the built-in worlds for the shape")
    for key in sorted(required - value.keys()):
        raise BadWorld(path, f"must have {key!r}", sorted(value), "add it")
    for key in sorted(value.keys() - required - optional):
        raise BadWorld(path, f"must have no keys but {_listed(required | optional)}", key, "remove it")
    return value


def _list(value: object, path: str, least: int, most: int, things: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadWorld(path, f"must be a list of {things}", _kind(value), "write a list")
    if not least <= len(value) <= most:
        count = f"exactly {least}" if least == most else f"{least} to {most}"
        raise BadWorld(path, f"must hold {count} {things}", len(value), "add or remove some")
    return value


def _string(value: object, path: str) -> None:
    if not isinstance(value, str):
        raise BadWorld(path, "must be a string", value, "write the name in quotes")


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number or boolean")


def _listed(keys: Set[str]) -> str:
    return ", ".join(repr(key) for key in sorted(keys))


def _lenient_or(way_out: str) -> str:
    return f"{way_out}, or load the world with lenient: true"
