"""A world in memory and how it gets there: a built-in name or a file, checked, then frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from igsm_pipeline.errors import BadWorld, NotFound, must_be
from igsm_pipeline.settings import canonical_json
from igsm_pipeline.world.rules import check_document

WORLD_FILE = "world.json"
MAX_FILE_BYTES = 16 << 20


@dataclass(frozen=True)
class Subcategory:
    """A theme of one layer; a problem takes all items of a layer from one sub-category."""

    name: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """One category layer of a hierarchy."""

    category: str
    subcategories: tuple[Subcategory, ...]


@dataclass(frozen=True)
class Hierarchy:
    """Four layers, each of things that the things of the layer above hold."""

    layers: tuple[Layer, ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """The category of each layer."""
        return tuple(layer.category for layer in self.layers)


class Place(NamedTuple):
    """Where an item stands; all indices from 0."""

    hierarchy: int
    layer: int
    subcategory: int
    item: int


@dataclass(frozen=True)
class World:
    """All names that problems can use.

    Attributes:
        hierarchies: in file order; every index in a problem record counts in file order.
        content_hash: SHA-256, hexadecimal, of the names in file order; wording of the file, its path and ``lenient`` do not matter.
        lenient: names were checked by the looser rules, so texts need the looser parser.
    """

    hierarchies: tuple[Hierarchy, ...]
    content_hash: str
    lenient: bool = False

    def __repr__(self) -> str:
        number = len(self.hierarchies)
        return f"<world {self.content_hash[:8]}, {number} hierarch{'y' if number == 1 else 'ies'}{', lenient' * self.lenient}>"

    def __hash__(self) -> int:
        return hash((self.content_hash, self.lenient))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, World) and (self.content_hash, self.lenient) == (other.content_hash, other.lenient)

    @cached_property
    def places(self) -> dict[str, tuple[Place, ...]]:
        """Item name -> every place that has it (one per hierarchy at most, unless lenient)."""
        found: dict[str, list[Place]] = {}
        for place, name in self.items():
            found.setdefault(name, []).append(place)
        return {name: tuple(places) for name, places in found.items()}

    def items(self) -> Iterator[tuple[Place, str]]:
        """Every item with its place, in file order."""
        for h, hierarchy in enumerate(self.hierarchies):
            for i, layer in enumerate(hierarchy.layers):
                for s, subcategory in enumerate(layer.subcategories):
                    for j, name in enumerate(subcategory.items):
                        yield Place(h, i, s, j), name

    def name(self, place: Place) -> str:
        """The item at a place.

        Raises:
            IndexError: there is none.
        """
        return self.hierarchies[place.hierarchy].layers[place.layer].subcategories[place.subcategory].items[place.item]

    def document(self) -> dict[str, Any]:
        """The world as the JSON document of a world file, ``lenient`` included; ``load_world`` of it gives an equal world."""
        return {
            "lenient": self.lenient,
            "hierarchies": [
                {
                    "layers": [
                        {"category": layer.category, "subcategories": {one.name: list(one.items) for one in layer.subcategories}}
                        for layer in hierarchy.layers
                    ]
                }
                for hierarchy in self.hierarchies
            ],
        }


def builtin_worlds() -> tuple[str, ...]:
    """Names of the worlds that come with the package."""
    folder = files("igsm_pipeline.world")
    return tuple(sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")))


def load_world(source: str | Path = "igsm", *, lenient: bool = False) -> World:
    """The world of a built-in name or a file.

    Example:
        >>> len(load_world("igsm").hierarchies)
        4

    Args:
        source: a name of ``builtin_worlds()``, or else the path of a file, or of a folder that holds ``world.json``.
        lenient: accept other people's looser names; a file that says ``"lenient": true`` itself asks for the same.

    Raises:
        NotFound: neither a built-in name nor an existing file.
        BadWorld: the file breaks a rule.
        BadInput: an argument is of another kind.
    """
    must_be("world", source, (str, Path), "a name or a file", "write igsm or mini, or name a file")
    must_be("lenient", lenient, bool, "true or false", "write lenient=True for other people's looser names")
    if isinstance(source, str) and source in builtin_worlds():
        label, data = f"{source}.json", files("igsm_pipeline.world").joinpath(f"{source}.json").read_bytes()
    else:
        label, data = _read(Path(source))
    return parse_world(data, label, lenient=lenient)


def world_of(world: World | str | Path) -> World:
    """A world itself, or that of a name or path; for functions that take either.

    Raises:
        BadInput: it is none of these.
        NotFound, BadWorld: see ``load_world``.
    """
    must_be("world", world, (str, Path, World), "a name, a file or a World", "write igsm or mini, or load one with igsm.load_world")
    return world if isinstance(world, World) else load_world(world)


@lru_cache(maxsize=16)
def parse_world(data: bytes, file: str, *, lenient: bool = False) -> World:
    """The world of a file's content; ``file`` is what errors call it.

    Raises:
        BadWorld: the content breaks a rule.
    """
    try:
        document = json.loads(data.decode(), object_pairs_hook=_without_repeats)
    except _RepeatedKeyError as error:
        raise BadWorld(file, "must not repeat a key within an object", error.args[0], "rename or merge the two") from None
    except (ValueError, RecursionError) as error:
        raise BadWorld(file, "must be JSON in UTF-8", str(error), "correct the file") from None
    check_document(document, file, lenient=lenient or (isinstance(document, dict) and document.get("lenient") is True))
    hierarchies = tuple(
        Hierarchy(
            tuple(
                Layer(layer["category"], tuple(Subcategory(name, tuple(items)) for name, items in layer["subcategories"].items()))
                for layer in hierarchy["layers"]
            )
        )
        for hierarchy in document["hierarchies"]
    )
    return World(hierarchies, _content_hash(hierarchies), lenient or document.get("lenient", False))


def _content_hash(hierarchies: tuple[Hierarchy, ...]) -> str:
    """SHA-256 of the names as nested lists, not objects: the order of sub-categories is content (records index it)."""
    names = [[[layer.category, [[one.name, one.items] for one in layer.subcategories]] for layer in hierarchy.layers] for hierarchy in hierarchies]
    return hashlib.sha256(canonical_json(names).encode()).hexdigest()


def _read(path: Path) -> tuple[str, bytes]:
    """Path and content of the file that a path names, itself or within it."""
    try:
        path = path / WORLD_FILE if (path / WORLD_FILE).is_file() else path
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"world must be a built-in name ({', '.join(builtin_worlds())}) or an existing file, got {str(path)!r}") from None
    except (OSError, ValueError) as error:
        raise BadWorld(str(path)[:400], "must be a readable file", str(error), "correct the path or its permissions") from None
    if len(data) > MAX_FILE_BYTES:
        raise BadWorld(str(path), f"must be at most {MAX_FILE_BYTES} bytes", "a larger file", "choose a world file")
    return str(path), data


class _RepeatedKeyError(Exception):
    """Carries the key that an object of the file has twice."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _RepeatedKeyError(key)
        found[key] = value
    return found
