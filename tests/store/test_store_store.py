"""The store: an address known before the work, every reason to distrust a unit, and writers that leave it whole."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import igsm_pipeline.store.store as store_module
from igsm_pipeline.errors import StoreError, UnitLocked
from igsm_pipeline.store import CLOCK, HALF_DONE, MANIFEST, NEVER, Store, Unit
from igsm_pipeline.store.housekeeping import show_alterations


def source_unit(version: int = 1, **settings: object) -> Unit:
    return Unit("problem_sets", "train", version, {"num_problems": 3, **settings})


def reader_unit(source: Unit) -> Unit:
    return Unit("token_shards", "train", 1, {"window": 64}, {"problems": source})


def fill(store: Store, unit: Unit, text: str = "data") -> None:
    with store.write(unit) as writing:
        (writing.folder / "part").mkdir(exist_ok=True)
        (writing.folder / "part" / "a.bin").write_text(text)
        (writing.folder / "b.bin").write_text("b")
        writing.counts["rows"] = len(text)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_written_unit_is_fresh_and_its_manifest_tells_all(store: Store) -> None:
    unit = reader_unit(source_unit())
    fill(store, unit.inputs["problems"])
    fill(store, unit)
    assert store.check(unit).fresh
    assert store.check(unit, deep=True).fresh
    manifest = store.manifest(unit)
    assert manifest["settings"] == {"window": 64}
    assert manifest["counts"] == {"rows": 4}
    assert manifest["bytes"] == 5
    assert set(manifest["files"]) == {"part/a.bin", "b.bin"}
    assert manifest["inputs"]["problems"]["content"] == store.manifest(unit.inputs["problems"])["content"]
    assert {"seconds", "libraries", "finished", "machine"} <= manifest.keys()


def _touch_only(store: Store, unit: Unit) -> None:
    os.utime(store.path(unit) / "b.bin", ns=(1, 1))


def _rot(store: Store, unit: Unit) -> None:
    """Another byte, the same size and time: what a failing disk does."""
    path = store.path(unit) / "b.bin"
    stat = path.stat()
    path.write_text("c")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _edit_manifest(change: Callable[[dict], None]) -> Callable[[Store, Unit], None]:
    def edit(store: Store, unit: Unit) -> None:
        path = store.path(unit) / MANIFEST
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


def _naming(name: str) -> Callable[[dict], None]:
    return lambda manifest: manifest["files"].update({name: dict(manifest["files"]["b.bin"])})


def _read_from(**names: str) -> Callable[[dict], None]:
    return lambda manifest: manifest["inputs"].update({"world": {"stage": "world", "fingerprint": "0" * 20, "content": "0" * 20, **names}})


def nested(levels: int) -> list:
    return [nested(levels - 1)] if levels else []


EVENTS: dict[str, tuple[Callable[[Store, Unit], object], str | None, str | None]] = {
    # event: (what happens to the unit, everyday reason, deep reason)
    "nothing": (lambda store, unit: None, None, None),
    "folder removed": (lambda store, unit: shutil.rmtree(store.path(unit)), NEVER, NEVER),
    "manifest removed": (lambda store, unit: (store.path(unit) / MANIFEST).unlink(), NEVER, NEVER),
    "manifest cut": (lambda store, unit: os.truncate(store.path(unit) / MANIFEST, 50), "cannot be read", "cannot be read"),
    "manifest not a mapping": (lambda store, unit: (store.path(unit) / MANIFEST).write_text("[]"), "is not a manifest", "is not a manifest"),
    "manifest of other settings": (_edit_manifest(lambda m: m["settings"].update(num_problems=4)), "other settings", "other settings"),
    "manifest of another version": (_edit_manifest(lambda m: m.update(version=2)), "other settings", "other settings"),
    "manifest content edited": (_edit_manifest(lambda m: m.update(content="0" * 20)), "manifest was altered", "manifest was altered"),
    "manifest counts edited": (_edit_manifest(lambda m: m["counts"].update(rows=999)), "manifest was altered", "manifest was altered"),
    "manifest seconds edited": (_edit_manifest(lambda m: m.update(seconds=1e9)), "manifest was altered", "manifest was altered"),
    "manifest libraries edited": (_edit_manifest(lambda m: m["libraries"].update(numpy="0")), "manifest was altered", "manifest was altered"),
    "manifest nothing but nulls": (_edit_manifest(lambda m: m.update(dict.fromkeys(m))), "is not a manifest", "is not a manifest"),
    "manifest files null": (_edit_manifest(lambda m: m.update(files=None)), "its files is NoneType", "its files is NoneType"),
    "manifest file null": (_edit_manifest(lambda m: m["files"].update({"b.bin": None})), "for 'b.bin'", "for 'b.bin'"),
    "manifest without hashes": (_edit_manifest(lambda m: m["files"]["b.bin"].pop("sha256")), "for 'b.bin'", "for 'b.bin'"),
    "manifest a thousand deep": (lambda store, unit: (store.path(unit) / MANIFEST).write_text("[" * 200_000), "cannot be read", "cannot be read"),
    "manifest of other letters": (lambda store, unit: (store.path(unit) / MANIFEST).write_bytes(b"\xff\xfe{"), "cannot be read", "cannot be read"),
    "manifest fifty deep": (_edit_manifest(lambda m: m["counts"].update(rows=nested(60))), "nested more than 50", "nested more than 50"),
    "manifest settings no number": (_edit_manifest(lambda m: m["settings"].update(num_problems=math.nan)), "is none", "is none"),
    "manifest seconds no number": (_edit_manifest(lambda m: m.update(seconds=math.inf)), "its seconds is inf", "its seconds is inf"),
    "manifest bytes too many": (_edit_manifest(lambda m: m.update(bytes=10**30)), "its bytes is too large", "its bytes is too large"),
    "manifest time of no clock": (_edit_manifest(lambda m: m["files"]["b.bin"].update(mtime_ns=10**30)), "for 'b.bin'", "for 'b.bin'"),
    **{
        f"manifest with the file {name!a}": (_edit_manifest(_naming(name)), "no file of its folder", "no file of its folder")
        for name in ("", "/dev/zero", "../b.bin", "a\0b", "\ud800")
    },
    "manifest without its checksum": (_edit_manifest(lambda m: m.pop("checksum")), "manifest was altered", "manifest was altered"),
    "manifest checksum null": (_edit_manifest(lambda m: m.update(checksum=None)), "manifest was altered", "manifest was altered"),
    "manifest of before checksums": (_edit_manifest(lambda m: (m.pop("checksum"), m.pop("code"))), None, None),
    **{
        f"manifest with an input at {address[:30]}": (_edit_manifest(_read_from(**{field: address})), "no unit of a store", "no unit of a store")
        for field, address in (("fingerprint", "a" * 400), ("fingerprint", "../../elsewhere"), ("stage", "a" * 400), ("stage", "../elsewhere"))
    },
    "file removed": (lambda store, unit: (store.path(unit) / "part" / "a.bin").unlink(), "part/a.bin is missing", "part/a.bin is missing"),
    "file truncated": (lambda store, unit: os.truncate(store.path(unit) / "b.bin", 0), "0 bytes instead of 1", "0 bytes instead of 1"),
    "file altered": (lambda store, unit: (store.path(unit) / "b.bin").write_text("c"), "b.bin was altered", "b.bin was altered"),
    "file touched": (_touch_only, None, None),
    "file rotted": (_rot, None, "b.bin was altered"),
    "file added": (lambda store, unit: (store.path(unit) / "notes.txt").write_text("mine"), None, None),
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_seen_and_named(store: Store, event: str) -> None:
    unit = source_unit()
    fill(store, unit)
    happen, everyday, deep = EVENTS[event]
    happen(store, unit)
    for state, expected in ((store.check(unit), everyday), (store.check(unit, deep=True), deep)):
        assert state.fresh == (expected is None), state.reasons
        assert expected is None or any(expected in reason for reason in state.reasons), state.reasons


@pytest.mark.parametrize("event", [event for event, (_, everyday, _) in EVENTS.items() if everyday])
def test_a_stale_input_makes_its_reader_stale_by_name_until_rebuilt_with_equal_content(store: Store, event: str) -> None:
    source = source_unit()
    reader = reader_unit(source)
    fill(store, source)
    fill(store, reader)
    EVENTS[event][0](store, source)
    assert store.check(reader).reasons == ("input problems (problem_sets train) is stale",)
    fill(store, source)
    assert store.check(reader).fresh


def test_an_input_rebuilt_with_other_content_makes_its_reader_stale(store: Store) -> None:
    source = source_unit()
    reader = reader_unit(source)
    fill(store, source)
    fill(store, reader)
    fill(store, source, "other")
    assert store.check(source).fresh
    assert store.check(reader).reasons == ("input problems (problem_sets train) was rebuilt with other content",)


def test_what_only_the_clock_knows_is_checked_but_makes_no_reader_stale(store: Store) -> None:
    source = source_unit()
    reader = reader_unit(source)
    for pace in ("fast", "slow"):
        with store.write(source) as writing:
            (writing.folder / "a.bin").write_text("data")
            (writing.folder / CLOCK).write_text(pace)
        if pace == "fast":
            fill(store, reader)
    assert store.check(reader).fresh
    (store.path(source) / CLOCK).unlink()
    assert store.check(source).reasons == (f"file {CLOCK} is missing",)


def test_settings_version_stage_and_inputs_each_change_the_address_and_name_and_runtime_do_not() -> None:
    unit = source_unit()
    others = [
        source_unit(seed=1),
        source_unit(version=2),
        Unit("token_shards", "train", 1, unit.settings),
        reader_unit(unit),
        reader_unit(source_unit(seed=1)),
    ]
    assert len({unit.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert Unit("problem_sets", "else", 1, {"num_problems": 3}, {}, {"device": "cuda"}) == unit


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.booleans() | st.none(), max_size=6))
def test_the_address_does_not_depend_on_the_order_of_settings(settings: dict[str, object]) -> None:
    backwards = dict(reversed(list(settings.items())))
    assert Unit("s", "", 1, settings).fingerprint == Unit("s", "", 1, backwards).fingerprint


def test_a_failed_writer_leaves_what_was_there_and_the_next_one_resumes(store: Store) -> None:
    unit = source_unit()
    with pytest.raises(RuntimeError), store.write(unit) as writing:
        assert not writing.resumed
        (writing.folder / "half.bin").write_text("half")
        raise RuntimeError
    assert store.check(unit).reasons == (HALF_DONE,)
    assert not store.path(unit).exists()
    with store.write(unit) as writing:
        assert writing.resumed
        assert (writing.folder / "half.bin").read_text() == "half"
    assert store.check(unit).fresh


def test_a_half_done_unit_is_not_resumed_from_other_input_content(store: Store) -> None:
    source = source_unit()
    reader = reader_unit(source)
    fill(store, source)
    with pytest.raises(RuntimeError), store.write(reader) as writing:
        (writing.folder / "half.bin").write_text("from the old content")
        raise RuntimeError
    fill(store, source, "other")
    with store.write(reader) as writing:
        assert not writing.resumed
        assert not (writing.folder / "half.bin").exists()


def test_an_input_that_changes_while_it_is_read_fails_the_writer(store: Store) -> None:
    source = source_unit()
    reader = reader_unit(source)
    fill(store, source)
    with pytest.raises(StoreError, match="rebuilt with other content while it was read"), store.write(reader):
        fill(store, source, "other")
    assert not store.check(reader).fresh


def test_a_failed_rebuild_keeps_the_finished_unit(store: Store) -> None:
    unit = source_unit()
    fill(store, unit)
    with pytest.raises(RuntimeError), store.write(unit) as writing:
        (writing.folder / "b.bin").write_text("worse")
        raise RuntimeError
    assert store.check(unit, deep=True).fresh


def test_leftovers_of_interrupted_file_writes_do_not_enter_the_unit(store: Store) -> None:
    unit = source_unit()
    with store.write(unit) as writing:
        (writing.folder / "deep").mkdir()
        (writing.folder / "deep" / "x.parquet.tmp").write_text("cut")
    assert store.manifest(unit)["files"] == {}
    assert not list(store.path(unit).rglob("*.tmp"))


KILLED_WRITER = """
import os, sys
from pathlib import Path
sys.path.insert(0, os.getcwd())
import igsm_pipeline.store.store as s
store, unit = s.Store(Path(sys.argv[1])), s.Unit("problem_sets", "train", 1, {"num_problems": 3})
point = sys.argv[2]
if point != "body":
    original = getattr(s, point)
    def die(*arguments, **named):
        if point == "replace_folder" or arguments[0].name == s.MANIFEST:
            os.kill(os.getpid(), 9)
        return original(*arguments, **named)
    setattr(s, point, die)
with store.write(unit) as writing:
    (writing.folder / "b.bin").write_text("new")
    if point == "body":
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("point", ["body", "write_atomically", "replace_folder"])
@pytest.mark.parametrize("rebuilding", [False, True])
def test_a_killed_writer_leaves_the_store_valid_and_unlocked(store: Store, point: str, rebuilding: bool) -> None:
    unit = source_unit()
    if rebuilding:
        fill(store, unit)
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITER, str(store.root), point], check=False)
    assert killed.returncode == -9
    assert store.check(unit, deep=True).fresh == rebuilding
    with store.write(unit) as writing:
        assert writing.resumed
        (writing.folder / "b.bin").write_text("newest")
    assert store.check(unit, deep=True).fresh
    assert (store.path(unit) / "b.bin").read_text() == "newest"


def test_two_writers_of_one_unit_exclude_each_other_and_the_refusal_names_the_first(store: Store) -> None:
    unit = source_unit()
    with store.write(unit):
        code = (
            "import os, sys; sys.path.insert(0, os.getcwd())\nfrom pathlib import Path\nfrom igsm_pipeline.store import Store, Unit\n"
            "from igsm_pipeline.errors import UnitLocked\n"
            "try:\n"
            "    with Store(Path(sys.argv[1])).write(Unit('problem_sets', 'train', 1, {'num_problems': 3})): pass\n"
            "except UnitLocked as error: print(error)\n"
        )
        said = subprocess.run([sys.executable, "-c", code, str(store.root)], check=True, capture_output=True, text=True).stdout
        assert f"process {os.getpid()}" in said
        with pytest.raises(UnitLocked), store.write(unit):
            pass
        fill(store, source_unit(seed=1))  # another unit is not affected
    fill(store, unit)
    assert store.check(unit).fresh


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only")])
@pytest.mark.parametrize("place", ["stage", "manifest"])
def test_a_full_or_read_only_disk_is_said_in_words_and_costs_nothing_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, words: str, place: str
) -> None:
    unit = source_unit()
    fill(store, unit)

    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patched, pytest.raises(StoreError, match=words), store.write(unit) as writing:
        (writing.folder / "b.bin").write_text("new")
        if place == "stage":
            refuse(writing.folder / "b.bin", b"")
        patched.setattr(store_module, "write_atomically", refuse)
    assert store.check(unit, deep=True).fresh
    assert (store.path(unit) / "b.bin").read_text() == "b"
    fill(store, unit, "after space was freed")
    assert store.manifest(unit)["counts"]["rows"] == 21


@pytest.mark.parametrize("event", [event for event in EVENTS if event.startswith("manifest")])
def test_what_a_deep_check_shows_to_everyday_ones_is_found_without_a_whole_manifest(store: Store, event: str) -> None:
    unit = source_unit()
    fill(store, unit)
    EVENTS[event][0](store, unit)
    assert show_alterations(store, unit) == []
    fill(store, unit, "again")
    assert store.check(unit, deep=True).fresh


def test_a_file_that_rotted_is_seen_by_everyday_checks_once_a_deep_one_has_shown_it(store: Store) -> None:
    unit = source_unit()
    fill(store, unit)
    _rot(store, unit)
    assert store.check(unit).fresh
    assert show_alterations(store, unit) == ["b.bin"]
    assert store.check(unit).reasons == ("file b.bin was altered",)


def test_files_of_a_unit_have_the_permissions_of_any_new_file(store: Store) -> None:
    unit = source_unit()
    with store.write(unit) as writing:
        (writing.folder / "weights.bin").write_text("w")
        (writing.folder / "weights.bin").chmod(0o600)
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in store.path(unit).iterdir()} == {0o666 & ~mask}


def test_a_file_that_may_not_be_read_is_named_with_the_reason(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = source_unit()
    fill(store, unit)

    def refuse(path: Path, *, flush: bool = False) -> str:
        raise PermissionError(errno.EACCES, "denied", str(path))

    monkeypatch.setattr(store_module, "hash_file", refuse)
    assert store.check(unit).fresh
    assert store.check(unit, deep=True).reasons == ("file b.bin cannot be read: permissions", "file part/a.bin cannot be read: permissions")


def test_a_stage_that_may_not_read_the_users_file_says_so_itself(store: Store) -> None:
    with pytest.raises(PermissionError), store.write(source_unit()):
        raise PermissionError(errno.EACCES, "denied", "/elsewhere/world.json")


def test_a_reader_never_sees_a_partial_unit(store: Store) -> None:
    unit = source_unit()
    with store.write(unit) as writing:
        (writing.folder / "b.bin").write_text("b")
        assert not store.path(unit).exists()
        with pytest.raises(StoreError, match="must exist"):
            store.manifest(unit)
    assert time.strptime(store.manifest(unit)["finished"], "%Y-%m-%dT%H:%M:%SZ")
