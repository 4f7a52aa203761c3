"""MLflow after a move: its database has the full addresses of artifacts, which are changed when the data root has moved."""

from __future__ import annotations

import sqlite3
from pathlib import Path

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("workspaces", "default_artifact_root"),
)
"""Tables and columns of MLflow's database that hold addresses of artifacts."""


def move_artifacts(database: Path, old: str, new: str) -> int:
    """Replace the beginning of every address below one folder, for all or none.

    Args:
        database: MLflow's SQLite file.
        old: address of the folder in the database, without a slash at its end.
        new: its new address.

    Returns:
        The number of addresses changed.
    """
    changed = 0
    connection = sqlite3.connect(database, timeout=60)
    try:
        with connection:
            for table, column in PLACES:
                if column in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
                    below = f"{column} = ? OR substr({column}, 1, ?) = ?"
                    values = (new, len(old) + 1, old, len(old) + 1, f"{old}/")
                    changed += connection.execute(f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {below}", values).rowcount
    finally:
        connection.close()
    return changed
