"""MLflow's addresses follow a data root that was moved, and only those below it."""

import sqlite3
from pathlib import Path

import pytest

from igsm_pipeline.defs.tracking.moves import PLACES, move_artifacts

OLD, NEW = "file:///a/b%20c", "file:///Lab%20%28x%29"


def test_addresses_below_the_old_root_change_and_no_others(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db") as connection:
        connection.execute("CREATE TABLE experiments (artifact_location TEXT)")
        connection.execute("CREATE TABLE runs (artifact_uri TEXT, other TEXT)")
        connection.executemany("INSERT INTO experiments VALUES (?)", [(OLD,), (f"{OLD}x/1",), ("file:///elsewhere",), (None,)])
        connection.executemany("INSERT INTO runs VALUES (?, ?)", [(f"{OLD}/1/artifacts", f"{OLD}/1"), (f"file:///z{OLD}/1", "")])
    connection.close()
    assert move_artifacts(tmp_path / "db", OLD, NEW) == 2
    with sqlite3.connect(tmp_path / "db") as connection:
        assert connection.execute("SELECT * FROM experiments").fetchall() == [(NEW,), (f"{OLD}x/1",), ("file:///elsewhere",), (None,)]
        assert connection.execute("SELECT * FROM runs").fetchall() == [(f"{NEW}/1/artifacts", f"{OLD}/1"), (f"file:///z{OLD}/1", "")]
    connection.close()
    assert move_artifacts(tmp_path / "db", OLD, NEW) == 0


@pytest.mark.slow
def test_mlflow_keeps_addresses_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from igsm_pipeline.defs.tracking.runs import DATABASE, Tracking  # noqa: PLC0415

    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    client = Tracking().client()
    run = client.create_run(Tracking().experiment_id(client))
    assert run.info.artifact_uri.startswith((tmp_path / "mlflow" / "artifacts").as_uri())
    with sqlite3.connect(tmp_path / "mlflow" / DATABASE) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    assert set(PLACES) <= columns
    assert {(table, column) for table, column in columns if "artifact" in column or "storage_location" in column} <= set(PLACES)
