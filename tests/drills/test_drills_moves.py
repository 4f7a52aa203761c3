"""A data folder that was moved, and units carried to another machine: nothing is computed again, and everything reads as before."""

from __future__ import annotations

import json

import pytest
from reference.drill_tools import contents, igsm
from reference.staleness_events import MEMBER, declare

pytestmark = pytest.mark.slow
QUESTION = (
    "SELECT (SELECT count(*) FROM problems), (SELECT count(*) FROM verdicts), (SELECT count(*) FROM predictions), (SELECT sum(bytes) FROM units)"
)


def asked(home) -> dict[str, int]:
    done = igsm(home, "sql", QUESTION, "--format", "json")
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = done.stdout.splitlines()
    return dict(json.loads(line))


def test_a_moved_data_folder_is_fresh_and_its_catalog_answers_as_before(home, tmp_path, monkeypatch):
    before, answer = contents(home), asked(home)
    assert all(answer.values())
    moved = tmp_path / "elsewhere" / "data"
    moved.parent.mkdir()
    home.rename(moved)
    monkeypatch.setenv("IGSM_HOME", str(moved))
    assert "units are fresh" in igsm(moved, "plan", MEMBER, "--deep").stdout
    assert asked(moved) == answer
    assert contents(moved) == before
    examined = igsm(moved, "doctor", COLUMNS="200")
    assert examined.returncode == 0, examined.stdout
    assert str(moved) in examined.stdout


def test_units_carried_to_another_machine_are_hashed_there_and_fresh(home, tmp_path, monkeypatch):
    before, parcel, other = contents(home), tmp_path / "toy.tar", tmp_path / "other"
    sent = igsm(home, "export", MEMBER, "--out", str(parcel))
    assert sent.returncode == 0, sent.stderr[-2000:]
    declare(other)
    monkeypatch.setenv("IGSM_HOME", str(other))
    taken = igsm(other, "import", str(parcel))
    assert taken.returncode == 0, taken.stderr[-2000:]
    assert f"{len(before)} added, 0 already here, 0 kept" in taken.stderr
    assert "units are fresh" in igsm(other, "plan", MEMBER, "--deep").stdout
    assert contents(other) == before
    damaged = tmp_path / "damaged.tar"
    data = bytearray(parcel.read_bytes())
    at = data.find(b"PAR1")
    assert at > 0
    data[at + 8] ^= 1
    damaged.write_bytes(data)
    third = tmp_path / "third"
    declare(third)
    refused = igsm(third, "import", str(damaged))
    assert refused.returncode == 2
    assert "must have SHA-256" in refused.stderr
    assert not list((third / "store" / "problem_sets").glob("*/manifest.json"))
