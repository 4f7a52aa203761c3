"""The doctor says what is wrong in a sentence and falls over nothing."""

from __future__ import annotations

import socket

import pytest

from igsm_pipeline.cli import main
from igsm_pipeline.experiments import find_member
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.store import Store
from igsm_pipeline.toolbox import doctor


@pytest.fixture(autouse=True)
def _no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_accelerator", lambda: ("not looked at", True))


def found() -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.examine()}


def test_a_sound_machine_has_no_complaint(home):
    assert [finding for finding in doctor.examine() if not finding.good] == []


def test_a_broken_experiment_file_is_named_with_its_field(home):
    (home / "experiments" / "broken.yaml").write_text("model: {heads: 0}\n")
    finding = found()["experiments"]
    assert not finding.good
    assert "broken.yaml: model.heads" in finding.found


def test_a_unit_being_written_is_told_from_one_left_half_done(home):
    store, unit = Store.at_home(), find_unit(find_member("mine"), "world", "world")
    with pytest.raises(RuntimeError), store.write(unit):
        assert f"world/{unit.fingerprint} by process" in found()["store"].found
        assert "half done" not in found()["store"].found
        raise RuntimeError
    assert "1 half done" in found()["store"].found


def test_files_that_may_not_be_read_are_counted_and_named(home, monkeypatch):
    store, unit = Store.at_home(), find_unit(find_member("mine"), "world", "world")
    with store.write(unit) as writing:
        (writing.folder / "a.bin").write_text("x")
    closed = store.path(unit) / "a.bin"
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: path != closed)
    finding = found()["store"]
    assert not finding.good
    assert f"1 files cannot be read: permissions (the first is {closed})" in finding.found


def test_a_taken_port_is_named_and_no_fault(home, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setattr(doctor, "PORTS", {"Dagster": listener.getsockname()[1]})
        assert "is in use" in found()["ports"].found
    assert "are free" in found()["ports"].found


def test_a_library_of_another_version_is_named(home, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda _name: ["numpy>=999", "a-package-that-does-not-exist", 'colorama>=9; extra == "x"'])
    finding = found()["requirements"]
    assert not finding.good
    assert "numpy>=999 is " in finding.found
    assert "a-package-that-does-not-exist is missing" in finding.found
    assert "colorama" not in finding.found


def test_the_remote_store_has_a_line_that_says_whether_it_answers_and_shows_no_secret(home, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("IGSM_REMOTE", raising=False)
    assert found()["remote"] == doctor.Finding("remote", "none; IGSM_REMOTE is not set")
    pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[remote]'")
    bucket = tmp_path / "bucket"
    monkeypatch.setenv("IGSM_REMOTE", f"file://{bucket}")
    finding = found()["remote"]
    assert finding.good
    assert finding.found.startswith(f"file://{bucket} answers, in ")
    (tmp_path / "taken").write_text("a file")
    for name, value in {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "notasecret", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("igsm_pipeline.store.objects.RETRIES", 0)
    for address in ("s3://bucket/prefix", "https://nobody:notasecret@example.org", f"file://{tmp_path}/taken/folder"):
        monkeypatch.setenv("IGSM_REMOTE", address)
        finding = found()["remote"]
        print(finding)
        assert not finding.good, address
        assert "\n" not in finding.found
        assert "notasecret" not in finding.found
        assert "nobody" not in finding.found
        with pytest.raises(SystemExit):
            main(["doctor"])
        told = capsys.readouterr()
        assert "notasecret" not in told.out + told.err
        assert "Traceback" not in told.out + told.err
