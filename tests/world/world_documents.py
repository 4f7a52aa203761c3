"""Small worlds of our own for tests: a strict one, and one with the liberties that other people's worlds take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CATEGORIES = ("Library", "Shelf", "Book", "Chapter")
ITEMS = {
    "Library": ["Abbey Stacks", "Bay Reading Rooms", "Court Archive", "Dock Bookhouse"],
    "Shelf": ["Tall Oak Case", "Low Steel Rack", "Glass Cabinet", "Attic Plank"],
    "Book": ["Whaling Saga", "Garden Almanac", "Star Atlas", "Chess Primer"],
    "Chapter": ["Opening Scene", "Stormy Night", "Long Journey", "Quiet Ending"],
}


def strict_document() -> dict[str, Any]:
    """One hierarchy, one sub-category of four items per layer."""
    layers = [{"category": category, "subcategories": {f"All {category} Kinds": list(ITEMS[category])}} for category in CATEGORIES]
    return {"hierarchies": [{"layers": layers}]}


def loose_document() -> dict[str, Any]:
    """Apostrophes, ampersands, digits, hyphens, " and ", five words, names in two sub-categories and names that begin others."""
    document = strict_document()
    layers = document["hierarchies"][0]["layers"]
    layers[0]["subcategories"]["Odd Ones"] = ["Reader's Nook", "Abbey Stacks", "Ink & Quill", "Books and Bytes"]
    layers[1]["subcategories"]["Odd Ones"] = ["Shelf 9", "Shelf 10", "Tall Oak", "Wall-Mounted Rack"]
    layers[2]["subcategories"]["Odd Ones"] = ["Tales of the Old Northern Sea", "Star Atlas", "Poe's Tales", "Atlas"]
    return document


def write(document: Any, folder: Path, name: str = "mine.json") -> Path:
    """The document as a file."""
    path = folder / name
    path.write_text(json.dumps(document))
    return path
