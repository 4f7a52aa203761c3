"""An exported unit is believed only when hashed again."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from reference.two_units import READER, SOURCE, fill

from igsm_pipeline.errors import BadInput, StoreError
from igsm_pipeline.store import MANIFEST, Store
from igsm_pipeline.store.archives import export_units, import_units


def test_exported_units_arrive_fresh_and_a_second_import_changes_nothing(full: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "elsewhere")
    assert export_units(full, [SOURCE, READER, SOURCE], tmp_path / "units.tar") == 2
    assert len(import_units(other, tmp_path / "units.tar").added) == 2
    assert other.check(READER, deep=True).fresh
    assert other.manifest(READER) == full.manifest(READER)
    assert len(import_units(other, tmp_path / "units.tar").present) == 2
    assert not list(other.root.glob(".import*"))


def test_a_stale_unit_is_not_exported(full: Store, tmp_path: Path) -> None:
    (full.path(SOURCE) / "part" / "a.bin").write_text("x")
    with pytest.raises(StoreError, match=r"cannot be exported: file part/a\.bin"):
        export_units(full, [SOURCE], tmp_path / "units.tar")
    with pytest.raises(StoreError, match="nothing to export"):
        export_units(full, [], tmp_path / "units.tar")
    assert not (tmp_path / "units.tar").exists()


def test_a_unit_of_other_content_is_kept_unless_replacing(full: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "elsewhere")
    fill(other, SOURCE, "trained elsewhere")
    export_units(other, [SOURCE], tmp_path / "units.tar")
    assert len(import_units(full, tmp_path / "units.tar").kept) == 1
    assert full.check(READER).fresh
    assert len(import_units(full, tmp_path / "units.tar", replace=True).added) == 1
    assert full.check(READER).reasons == ("input problems (problem_sets train) was rebuilt with other content",)


def _repack(source: Path, target: Path, change: dict[str, bytes]) -> None:
    """Copy a tar with some entries' bytes changed (new names are added)."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        entries = {entry.name: old.extractfile(entry).read() for entry in old}
        for name, data in (entries | change).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("{unit}/part/a.bin", b"DATA", "must have SHA-256"),
        ("{unit}/extra.bin", b"", "must hold the files of its manifest"),
        ("{unit}/manifest.json", b"{}", "must hold a manifest"),
        ("problem_sets/0123456789abcdef0123/manifest.json", b"{}", "must hold a manifest"),
        ("../../../outside.txt", b"", "must hold only files of units"),
        ("problem_sets/{fingerprint}/../../../x", b"", "must hold only files of units"),
        ("somewhere/0123/x", b"", "must hold only files of units"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused_and_nothing_of_it_stays(full: Store, tmp_path: Path, name: str, data: bytes, rule: str) -> None:
    export_units(full, [SOURCE], tmp_path / "units.tar")
    unit = f"problem_sets/{SOURCE.fingerprint}"
    _repack(tmp_path / "units.tar", tmp_path / "bad.tar", {name.format(unit=unit, fingerprint=SOURCE.fingerprint): data})
    other = Store(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=rule):
        import_units(other, tmp_path / "bad.tar")
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file() and path.name == "x"]
    assert not (tmp_path / "outside.txt").exists()
    assert not list(other.root.glob(".import*"))


def test_a_manifest_that_claims_other_settings_is_refused(full: Store, tmp_path: Path) -> None:
    export_units(full, [SOURCE], tmp_path / "units.tar")
    manifest = json.loads((full.path(SOURCE) / MANIFEST).read_text()) | {"settings": {"num_problems": 4}}
    _repack(tmp_path / "units.tar", tmp_path / "bad.tar", {f"problem_sets/{SOURCE.fingerprint}/{MANIFEST}": json.dumps(manifest).encode()})
    with pytest.raises(BadInput, match="must be the address that its manifest gives"):
        import_units(Store(tmp_path / "elsewhere"), tmp_path / "bad.tar")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"counts": {"rows": 999}}, "must hold the manifest that was written"),
        ({"files": {"part/a.bin": {"bytes": 4, "mtime_ns": 1}}}, "must hold a manifest"),
        ({"files": None}, "must hold a manifest"),
        ({"name": None}, "must hold a manifest"),
        ({"inputs": {"problems": None}}, "must hold a manifest"),
    ],
)
def test_a_manifest_that_was_altered_or_lacks_hashes_is_refused_in_one_line(full: Store, tmp_path: Path, change: dict, rule: str) -> None:
    export_units(full, [SOURCE], tmp_path / "units.tar")
    manifest = json.loads((full.path(SOURCE) / MANIFEST).read_text()) | change
    _repack(tmp_path / "units.tar", tmp_path / "bad.tar", {f"problem_sets/{SOURCE.fingerprint}/{MANIFEST}": json.dumps(manifest).encode()})
    with pytest.raises(BadInput, match=rule):
        import_units(Store(tmp_path / "elsewhere"), tmp_path / "bad.tar")


def test_a_file_that_may_not_be_read_is_named_by_the_export(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(tarfile.TarFile, "add", refuse)
    with pytest.raises(StoreError, match=r"problem_sets train cannot be exported: .*a\.bin cannot be read: permissions"):
        export_units(full, [SOURCE], tmp_path / "units.tar")
    assert not list(tmp_path.glob("*units.tar*"))


def test_a_unit_that_is_a_link_is_exported_with_its_files(full: Store, tmp_path: Path) -> None:
    (full.path(SOURCE)).rename(tmp_path / "moved")
    full.path(SOURCE).symlink_to(tmp_path / "moved")
    export_units(full, [SOURCE], tmp_path / "units.tar")
    other = Store(tmp_path / "elsewhere")
    assert len(import_units(other, tmp_path / "units.tar").added) == 1
    assert other.check(SOURCE, deep=True).fresh


@pytest.mark.parametrize("cut", [10, 700, 2000])
def test_a_cut_file_is_refused(full: Store, tmp_path: Path, cut: int) -> None:
    export_units(full, [SOURCE], tmp_path / "units.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "units.tar").read_bytes()[:cut])
    with pytest.raises(BadInput):
        import_units(Store(tmp_path / "elsewhere"), tmp_path / "cut.tar")
