"""A unit on object storage is whole or not there, the first finished writer wins, and nothing that arrives is believed before it is hashed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from reference.s3_server import s3_server
from reference.two_units import READER, SOURCE, fill

from igsm_pipeline.errors import BadInput, BadSettings, StoreError
from igsm_pipeline.store import MANIFEST, PARTIAL, Store
from igsm_pipeline.store import remote as remote_module
from igsm_pipeline.store.objects import Objects
from igsm_pipeline.store.remote import OTHER, PRESENT, PUSHED, Remote

pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The address of an empty object storage: a folder, and a real S3 server."""
    if request.param == "folder":
        yield f"file://{tmp_path}/bucket"
        return
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield environment["IGSM_REMOTE"]


def several(store: Store, text: str = "data") -> None:
    """Finish ``SOURCE`` with five files, one of them empty and one of 9 MB."""
    with store.write(SOURCE) as writing:
        (writing.folder / "part").mkdir()
        for name in ("part/a.bin", "b.bin", "c c.bin"):
            (writing.folder / name).write_text(f"{text} {name}")
        (writing.folder / "empty.bin").touch()
        (writing.folder / "large.bin").write_bytes(b"0123456789" * 900_000)


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and times of a unit's files; of the manifest the bytes alone."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}
    return {name: (path.read_bytes(), path.stat().st_mtime_ns if name != MANIFEST else 0) for name, path in found.items()}


def test_a_pushed_unit_arrives_elsewhere_with_the_same_bytes_and_times(address: str, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    several(here)
    fill(here, READER)
    assert Remote(address).push(here, READER) == PUSHED, "its input goes with it"
    assert Remote(address).push(here, SOURCE) == PRESENT
    for unit in (SOURCE, READER):
        assert Remote(address).pull(there, unit)
        assert files_of(there.path(unit)) == files_of(here.path(unit))
    assert there.check(READER, deep=True).fresh
    assert not list(there.root.glob(f"*/*{PARTIAL}"))


def test_a_unit_that_was_never_pushed_is_not_there(address: str, tmp_path: Path) -> None:
    remote = Remote(address)
    assert remote.manifest(SOURCE) is None
    assert not remote.pull(Store(tmp_path / "there"), SOURCE)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("puts", range(6))
def test_a_push_killed_at_any_file_leaves_no_unit_and_goes_on_with_the_missing_files(address: str, tmp_path: Path, puts: int) -> None:
    here = Store(tmp_path / "here")
    several(here)
    assert killed(f"after({puts}, 'put', 'create'); Remote({address!r}).push(Store(Path({str(here.root)!r})), SOURCE)")
    remote = Remote(address)
    assert remote.manifest(SOURCE) is None
    done = counting(remote, "put")
    assert remote.push(here, SOURCE) == PUSHED
    assert len(done) <= 5 - max(0, puts - remote_module.AT_ONCE), "what had arrived is not put again"
    there = Store(tmp_path / "there")
    assert remote.pull(there, SOURCE)
    assert there.check(SOURCE, deep=True).fresh


@pytest.mark.parametrize("fetched", range(6))
def test_a_pull_killed_at_any_file_leaves_no_unit_and_goes_on_with_the_missing_files(address: str, tmp_path: Path, fetched: int) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    several(here)
    remote = Remote(address)
    remote.push(here, SOURCE)
    assert killed(f"after({fetched}, 'fetch', 'read'); Remote({address!r}).pull(Store(Path({str(there.root)!r})), SOURCE)") == (fetched < 5)
    if fetched < 5:
        assert not there.path(SOURCE).exists()
        assert not there.check(SOURCE).fresh
        left = list(there.path(SOURCE).with_name(SOURCE.fingerprint + PARTIAL).rglob("*.bin"))
        done = counting(remote, "fetch")
        assert remote.pull(there, SOURCE)
        assert len(done) == 5 - len(left)
    assert there.check(SOURCE, deep=True).fresh
    assert files_of(there.path(SOURCE)) == files_of(here.path(SOURCE))
    assert not list(there.root.glob(f"*/*{PARTIAL}"))


def killed(work: str) -> bool:
    """Run some lines in a process that kills itself (-9) where ``after(N, ...)`` says. Returns whether it was."""
    text = f"""
import os, signal, threading
from pathlib import Path
from reference.two_units import SOURCE
from igsm_pipeline.store import Store
from igsm_pipeline.store.objects import Objects
from igsm_pipeline.store.remote import Remote

def after(number, *names):
    "Kill this process instead of the call after so many."
    left, lock = [number], threading.Lock()
    def limited(call):
        def limited_call(self, key, *more):
            if key.endswith(".json") and call.__name__ == "read":
                return call(self, key, *more)
            with lock:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
            return call(self, key, *more)
        return limited_call
    for name in names:
        setattr(Objects, name, limited(getattr(Objects, name)))

{work}
"""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def counting(remote: Remote, name: str) -> list[str]:
    """The keys of the calls of one kind from here on."""
    done: list[str] = []
    call = getattr(remote.objects, name)

    def counted(key: str, *more: object) -> object:
        done.append(key)
        return call(key, *more)

    setattr(remote.objects, name, counted)
    return done


def test_the_first_finished_writer_wins_and_the_second_leaves_no_files(address: str, tmp_path: Path) -> None:
    first, second, there = Store(tmp_path / "first"), Store(tmp_path / "second"), Store(tmp_path / "there")
    several(first, "first")
    several(second, "second")
    late = Remote(address)
    assert late.manifest(SOURCE) is None
    early = Remote(address)

    def overtaken(key: str, data: bytes) -> str | None:
        assert early.push(first, SOURCE) == PUSHED
        return Objects.create(late.objects, key, data)

    late.objects.create = overtaken  # type: ignore[method-assign]
    assert late.push(second, SOURCE) == OTHER
    assert Remote(address).pull(there, SOURCE)
    assert files_of(there.path(SOURCE)) == files_of(first.path(SOURCE))
    assert len(late.objects.sizes(f"store/{SOURCE.stage}/{SOURCE.fingerprint}")) == 6
    assert late.pull(second, SOURCE, replace=True)
    assert files_of(second.path(SOURCE)) == files_of(first.path(SOURCE))


def test_equal_work_done_twice_is_there_once(address: str, tmp_path: Path) -> None:
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    several(first)
    several(second)
    assert first.manifest(SOURCE)["files"] != second.manifest(SOURCE)["files"], "at other times"
    assert [Remote(address).push(store, SOURCE) for store in (first, second)] == [PUSHED, PRESENT]


def test_a_unit_that_rests_on_other_inputs_is_not_pushed(address: str, tmp_path: Path) -> None:
    first, second = Store(tmp_path / "first"), Store(tmp_path / "second")
    fill(first, SOURCE, "first")
    fill(second, SOURCE, "second")
    fill(second, READER)
    Remote(address).push(first, SOURCE)
    remote = Remote(address)
    assert remote.push(second, READER) == OTHER
    assert remote.manifest(READER) is None
    fill(first, READER)
    assert remote.push(first, READER) == PUSHED
    assert not remote.fits(second, READER)
    assert remote.fits(first, READER)


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("{files}/b.bin", b"DATA b.bin", "must have SHA-256"),
        ("{files}/b.bin", b"data", "must have SHA-256"),
        ("{files}/b.bin", None, "must be there, since the manifest names it"),
        ("manifest.json", b"{}", "must hold a manifest"),
        ("manifest.json", b"\xff", "must hold a manifest"),
        ("manifest.json", {"counts": {"rows": 9}}, "another or an altered one"),
        ("manifest.json", {"settings": {"num_problems": 4}}, "another or an altered one"),
    ],
)
def test_damaged_bytes_are_refused_told_of_and_leave_nothing(address: str, tmp_path: Path, name: str, data: object, rule: str) -> None:
    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    several(here)
    remote = Remote(address)
    remote.push(here, SOURCE)
    folder = f"store/{SOURCE.stage}/{SOURCE.fingerprint}"
    files = {key.partition("/")[0] for key in remote.objects.sizes(folder)} - {MANIFEST}
    key = f"{folder}/{name.format(files=files.pop())}"
    if isinstance(data, dict):
        data = json.dumps(here.manifest(SOURCE) | data).encode()
    remote.objects.remove(key)
    if isinstance(data, bytes):
        assert remote.objects.create(key, data)
    with pytest.raises(BadInput, match=rule) as refused:
        Remote(address).pull(there, SOURCE)
    assert f"remove {folder}/ there and push the unit again" in str(refused.value)
    assert address in str(refused.value)
    assert not list(there.root.rglob("*.bin"))
    assert not there.check(SOURCE).fresh
    for left in remote.objects.sizes(folder):
        remote.objects.remove(f"{folder}/{left}")
    assert Remote(address).push(here, SOURCE) == PUSHED
    assert Remote(address).pull(there, SOURCE), "the way out that the message tells"


@pytest.mark.parametrize(
    ("name", "told"), [("../../../outside.bin", "which is no file of its folder"), (MANIFEST, "must hold other files than its manifest")]
)
def test_a_manifest_with_names_that_are_not_its_units_is_refused(tmp_path: Path, name: str, told: str) -> None:
    from igsm_pipeline.store.manifest import checksum_of, content_of  # noqa: PLC0415

    here, there = Store(tmp_path / "here"), Store(tmp_path / "there")
    fill(here, SOURCE)
    manifest = here.manifest(SOURCE)
    manifest["files"] = {name: manifest["files"]["part/a.bin"]}
    manifest["content"] = content_of(manifest["files"])
    manifest["checksum"] = checksum_of(manifest)
    remote = Remote(f"file://{tmp_path}/bucket")
    remote.objects.create(f"store/{SOURCE.stage}/{SOURCE.fingerprint}/{MANIFEST}", json.dumps(manifest).encode())
    with pytest.raises(BadInput, match=told):
        remote.pull(there, SOURCE)


def test_a_pull_never_takes_over_the_files_of_a_computation_nor_that_the_files_of_a_pull(tmp_path: Path) -> None:
    here, there, address = Store(tmp_path / "here"), Store(tmp_path / "there"), f"file://{tmp_path}/bucket"
    several(here)
    Remote(address).push(here, SOURCE)
    with pytest.raises(RuntimeError, match="stopped"), there.write(SOURCE) as writing:
        (writing.folder / "state.bin").write_text("half a training")
        raise RuntimeError("stopped")
    assert Remote(address).pull(there, SOURCE)
    assert files_of(there.path(SOURCE)) == files_of(here.path(SOURCE))
    other = Store(tmp_path / "other")
    assert killed(f"after(2, 'fetch'); Remote({address!r}).pull(Store(Path({str(other.root)!r})), SOURCE)")
    with other.write(SOURCE) as writing:
        assert not writing.resumed
        assert not list(writing.folder.rglob("*.bin"))


def test_a_damaged_unit_is_not_pushed(tmp_path: Path) -> None:
    here, remote = Store(tmp_path / "here"), Remote(f"file://{tmp_path}/bucket")
    several(here)
    path = here.path(SOURCE) / "b.bin"
    stat = path.stat()
    path.write_text("DATA b.bin")
    os.utime(path, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert here.check(SOURCE).fresh, "an everyday check does not see it"
    with pytest.raises(StoreError, match=r"cannot be pushed: file b\.bin was altered"):
        remote.push(here, SOURCE)
    assert remote.manifest(SOURCE) is None


def test_an_object_is_created_once_and_replaced_only_as_it_was_read(address: str) -> None:
    objects = Objects(address)
    first = objects.create("a/x.json", b"1")
    assert first
    assert objects.create("a/x.json", b"2") is None
    assert objects.create("a/x.json", b"1") == first, "a put whose answer was lost on the way"
    second = objects.swap("a/x.json", b"3", first)
    assert second
    assert objects.swap("a/x.json", b"4", first) is None
    assert objects.read("a/x.json") == (b"3", second)
    objects.remove("a/x.json")
    objects.remove("a/x.json")
    assert objects.read("a/x.json") is None
    assert objects.swap("a/x.json", b"5", second) is None


@pytest.mark.parametrize("address", ["s3://KEY:SECRET@bucket/x", "https://KEY:SECRET@host/x", "KEY:SECRET", "s3://bucket/x?secret=SECRET", "file://"])
def test_a_wrong_address_is_refused_without_showing_what_may_be_a_key(address: str) -> None:
    with pytest.raises(BadSettings, match="must be s3://BUCKET/PREFIX or file:///FOLDER") as refused:
        Objects(address)
    assert "SECRET" not in str(refused.value)


def test_a_server_that_does_not_answer_gives_one_line_without_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igsm_pipeline.store.objects.RETRIES", 0)
    for name, value in {"AWS_ACCESS_KEY_ID": "KEYNAME", "AWS_SECRET_ACCESS_KEY": "SECRET"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:SECRET@127.0.0.1:9")
    with pytest.raises(StoreError, match=r"cannot read s3://some-bucket/x/store/.*unset IGSM_REMOTE to work without it") as refused:
        Remote("s3://some-bucket/x").manifest(SOURCE)
    assert "SECRET" not in str(refused.value)
    assert "KEYNAME" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_obstore_the_variable_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setenv("IGSM_REMOTE", "file:///somewhere")
    with pytest.raises(StoreError, match=r"pip install -c constraints.txt -e '\.\[remote\]'"):
        Remote.from_environment()
    monkeypatch.delenv("IGSM_REMOTE")
    assert Remote.from_environment() is None
