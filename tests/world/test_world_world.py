"""Worlds load by name or path, keep their order, and are known by content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from world_documents import loose_document, strict_document, write

from igsm_pipeline.errors import BadSettings, BadWorld, NotFound
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.world import WorldSettings, builtin_worlds, load_world
from igsm_pipeline.world.stage import STAGE
from igsm_pipeline.world.write import write_world


def test_the_built_in_world_has_the_law_sizes_and_categories() -> None:
    world = load_world("igsm")
    assert [hierarchy.categories for hierarchy in world.hierarchies] == [
        ("District", "Supermarket", "Product", "Ingredient"),
        ("Zoo", "Enclosure", "Animal", "Bone"),
        ("School", "Classroom", "Backpack", "Stationery"),
        ("Ecosystems", "Creatures", "Organs", "Cells"),
    ]
    sizes = {(len(layer.subcategories), len(sub.items)) for h in world.hierarchies for layer in h.layers for sub in layer.subcategories}
    assert sizes == {(5, 20)}
    assert not world.lenient


def test_built_in_names_are_capitalised_words_without_hyphens() -> None:
    for name in builtin_worlds():
        for _, item in load_world(name).items():
            assert "-" not in item
            assert all(word[0].isupper() for word in item.split()), item


def test_the_mini_world_has_five_names_per_layer() -> None:
    (hierarchy,) = load_world("mini").hierarchies
    assert [[len(sub.items) for sub in layer.subcategories] for layer in hierarchy.layers] == [[5]] * 4


def test_places_and_names_are_inverse() -> None:
    world = load_world("igsm")
    assert all(world.name(place) == name and place in world.places[name] for place, name in world.items())
    assert sum(len(places) for places in world.places.values()) == 1600


def test_a_missing_world_lists_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"igsm, mini.*nowhere"):
        load_world(tmp_path / "nowhere.json")


def test_a_folder_is_no_world(tmp_path: Path) -> None:
    with pytest.raises(BadWorld, match="must be a readable file"):
        load_world(tmp_path)


def test_a_folder_that_holds_a_world_file_is_read(tmp_path: Path) -> None:
    written = write(strict_document(), tmp_path, "world.json")
    assert load_world(tmp_path) == load_world(written)


def test_content_decides_the_hash_and_layout_does_not(tmp_path: Path) -> None:
    document = strict_document()
    one = load_world(write(document, tmp_path, "one.json"))
    (tmp_path / "two.json").write_text(json.dumps(document, indent=7))
    assert load_world(tmp_path / "two.json") == one
    document["hierarchies"][0]["layers"][3]["subcategories"]["All Chapter Kinds"].reverse()
    assert load_world(write(document, tmp_path, "three.json")).content_hash != one.content_hash


def test_the_order_of_sub_categories_is_content_since_records_index_it(tmp_path: Path) -> None:
    document = strict_document()
    more = ["Red Ribbon", "Blue Ribbon", "Gray Ribbon", "Pink Ribbon"]
    subcategories = document["hierarchies"][0]["layers"][3]["subcategories"]
    document["hierarchies"][0]["layers"][3]["subcategories"] = {**subcategories, "Bookmarks": more}
    one = load_world(write(document, tmp_path, "one.json"))
    document["hierarchies"][0]["layers"][3]["subcategories"] = {"Bookmarks": more, **subcategories}
    assert load_world(write(document, tmp_path, "two.json")).content_hash != one.content_hash


def test_settings_are_known_by_content_never_by_path(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        write(strict_document(), tmp_path, name)
    one, two = (WorldSettings(source=str(tmp_path / name)) for name in ("one.json", "two.json"))
    assert one.fingerprint() == two.fingerprint()
    assert one.fingerprint() == one.resolve().fingerprint()
    document = strict_document()
    document["hierarchies"][0]["layers"][0]["category"] = "Archive"
    write(document, tmp_path, "two.json")
    assert one.fingerprint() != two.fingerprint()


def test_lenience_is_content_whether_asked_by_settings_or_file(tmp_path: Path) -> None:
    path = write(loose_document(), tmp_path)
    by_settings = WorldSettings(source=str(path), lenient=True)
    by_file = WorldSettings(source=str(write({**loose_document(), "lenient": True}, tmp_path, "own.json")))
    assert by_settings.canonical() == by_file.canonical()
    strict = write(strict_document(), tmp_path, "strict.json")
    assert WorldSettings(source=str(strict)).canonical() != WorldSettings(source=str(strict), lenient=True).canonical()


@pytest.mark.parametrize("loose", [False, True])
def test_the_stage_copy_gives_the_world_back(loose: bool, tmp_path: Path) -> None:
    source = write(loose_document() if loose else strict_document(), tmp_path)
    settings = WorldSettings(source=str(source), lenient=loose)
    unit = Unit(STAGE.name, "world", STAGE.version, settings.canonical(), {}, settings.runtime())
    store = Store(tmp_path / "store")
    with store.write(unit) as writing:
        write_world(WorldSettings.parse({**unit.settings, **unit.runtime}, "unit"), {}, writing)
    copy = load_world(store.path(unit) / "world.json")
    assert copy == load_world(source, lenient=loose)
    assert copy.lenient == loose
    assert store.manifest(unit)["counts"]["items"] == sum(1 for _ in copy.items())


def test_a_file_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    path = write(strict_document(), tmp_path)
    settings = WorldSettings(source=str(path)).resolve()
    document = strict_document()
    document["hierarchies"][0]["layers"][0]["category"] = "Archive"
    write(document, tmp_path)
    with pytest.raises(BadSettings, match="must still have content"):
        settings.load()


def test_a_world_shows_itself_in_one_line() -> None:
    world = load_world("mini")
    assert repr(world) == f"<world {world.content_hash[:8]}, 1 hierarchy>"
    assert repr(load_world("igsm")).endswith(", 4 hierarchies>")
    assert repr(load_world("mini", lenient=True)).endswith(", 1 hierarchy, lenient>")
