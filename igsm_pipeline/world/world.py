"""World: stub to be replaced by the world helper (interface only)."""
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Subcategory:
    name: str
    items: tuple[str, ...]

@dataclass(frozen=True)
class Layer:
    category: str
    subcategories: tuple[Subcategory, ...]

@dataclass(frozen=True)
class Hierarchy:
    layers: tuple[Layer, ...]

@dataclass(frozen=True)
class World:
    hierarchies: tuple[Hierarchy, ...]
    content_hash: str
    lenient: bool = False

def load_world(source: str | Path = "igsm", *, lenient: bool = False) -> World:
    raise NotImplementedError
