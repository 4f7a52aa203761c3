"""The catalog: one small DuckDB file with the results as tables, and with views over the large Parquet files of the store.

The file alone answers queries about results and summaries (accuracy, probe tables, correlation, checkpoints, ``units``). Views look for the store in
the folder of the open file, wherever that is and whatever the working directory: DuckDB's setting ``temp_directory`` is the path of the open file and
".tmp", and no other constant of a query contains that path. If the file is attached to another database, or the setting was changed, views
look in the folder where the catalog was built. ``SET VARIABLE igsm_home = '/path/of/the/data/folder/'`` names another one; ``open_catalog`` sets it.
The file is built under another name and then renamed, so a reader sees the old catalog or the new one.

Ours: ``ask`` can only read, and only the store. DuckDB's own locks (read-only file, allowed folders, frozen configuration) are not
enough: COPY and EXPORT still write into an allowed folder, EXPLAIN ANALYZE runs what it explains, SET VARIABLE redirects the views. So ``ask``
also looks at the kind of each statement.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from igsm_pipeline.catalog.views import SUMMARIES, file_tables, view_columns, view_type
from igsm_pipeline.errors import BadInput, NotFound, StoreError
from igsm_pipeline.intervals.share import Z95
from igsm_pipeline.planning.planner import catalog_rows
from igsm_pipeline.stage import Column, Stage, Table
from igsm_pipeline.store import Store, read_manifest, written_whole

CATALOG = "igsm.duckdb"
_HOME = "igsm_home"
_OPEN = r"igsm\.duckdb\.tmp$"
"""The end of DuckDB's ``temp_directory`` while the catalog is the open file."""
_EXPLAIN = re.compile(r"\s*explain\s+(?:analyze\s+)?", re.I)
_FINGERPRINT = r"'([^/\\]+)[/\\][^/\\]+$'"
_WILSON = """
CREATE MACRO wilson_low(k, n, z := {z}) AS greatest(0, (k / n + z * z / (2 * n) - z * sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n)))
  / (1 + z * z / n));
CREATE MACRO wilson_high(k, n, z := {z}) AS least(1, (k / n + z * z / (2 * n) + z * sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n)))
  / (1 + z * z / n));
"""
_UNITS = """
CREATE TABLE units (experiment VARCHAR, stage VARCHAR, name VARCHAR, fingerprint VARCHAR, folder VARCHAR, bytes BIGINT, seconds DOUBLE,
                    finished VARCHAR, counts JSON, settings JSON, labels JSON);
COMMENT ON TABLE units IS 'one row per finished unit of a member: what its manifest says';
"""


def build_catalog(rows: Iterable[Mapping[str, Any]], home: Path) -> Path:
    """Build ``<home>/igsm.duckdb`` from the units of all members.

    Args:
        rows: one mapping per member and unit: ``member`` (its key), ``stage``, ``name`` (of the unit), ``folder`` (the unit's, below ``home``). Units
            without a manifest are skipped.
        home: the data root.

    Returns:
        The catalog file.

    Raises:
        StoreError: the catalog cannot be written.
    """
    target = home / CATALOG
    units = [unit for row in rows if (unit := _unit(row, home)) is not None]
    try:
        home.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as aside, duckdb.connect(str(aside)) as connection:
            _search_from(connection, home)
            connection.begin()  # one write to the disk instead of one per comment
            connection.execute(_UNITS + _WILSON.format(z=Z95))
            if units:
                connection.executemany("INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", units)
            for stage, table in file_tables():
                kind = "TABLE" if table.result else "VIEW"
                connection.execute(f"CREATE {kind} {table.name} AS {_file_query(connection, stage, table, home)}")
                _comment(connection, kind, table.name, table.meaning, view_columns(table))
            for summary in SUMMARIES:
                connection.execute(f"CREATE TABLE {summary.name} AS {summary.sql}")
                _comment(connection, "TABLE", summary.name, summary.meaning, summary.columns)
            connection.commit()
            connection.close()
            target.resolve().with_name(target.resolve().name + ".wal").unlink(missing_ok=True)  # another client left it
    except (OSError, duckdb.IOException) as error:
        raise StoreError(f"{target} cannot be written ({error}); free space or fix the folder's permissions, then build it again") from error
    except duckdb.Error as error:
        what = str(error).partition("\n")[0]
        raise StoreError(
            f"{target} cannot be built from the files of the store ({what}); `igsm run MEMBER --deep` repairs what is damaged"
        ) from error
    return target


def refresh_catalog(home: Path) -> str | None:
    """Build the catalog from the fresh units of all members.

    Returns:
        None, or why it failed if an older catalog can be used instead (for a data root that is mounted read-only, say).

    Raises:
        StoreError: it failed, and there is no older catalog.
    """
    try:
        build_catalog(catalog_rows(Store(home / "store")), home)
    except StoreError as error:
        if not (home / CATALOG).is_file():
            raise
        return str(error)
    return None


def open_catalog(home: Path) -> duckdb.DuckDBPyConnection:
    """Open a read-only connection to ``<home>/igsm.duckdb``; its views find their files wherever ``home`` is now.

    It reads no file outside the store, loads no extension, and sees no variables of the calling Python program. If a newer catalog replaces the file,
    the connection keeps the old one. For queries that other people wrote, use ``ask``.

    Raises:
        NotFound: there is no catalog.
        StoreError: it cannot be opened.
    """
    target = home / CATALOG
    if not target.is_file():
        raise NotFound(f"no catalog {target}: build it with `igsm sql` or the asset catalog")
    config: dict[str, str | bool | int | float | list[str]] = {
        "python_enable_replacements": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
    }
    try:
        connection = duckdb.connect(str(target), read_only=True, config=config)
        _search_from(connection, home)
        allowed = ", ".join(_quote(f"{folder}{os.sep}") for folder in _store_folders(home.resolve() / "store"))
        connection.execute(f"SET allowed_directories = [{allowed}]; SET enable_external_access = false; SET lock_configuration = true")
    except duckdb.Error as error:
        raise StoreError(f"{target} cannot be opened ({error}); build it again") from error
    return connection


def _store_folders(store: Path) -> Iterator[Path]:
    """The store, and the targets of links among its folders, stages and units: DuckDB checks where a file really is."""
    yield store
    for place in (store, *store.glob("*"), *store.glob("*/*")):
        if place.is_symlink() and place.is_dir():
            yield place.resolve()


def ask(connection: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation | None:
    """Run queries that someone typed. Only reading is allowed.

    Args:
        connection: from ``open_catalog``.
        query: one or more statements: SELECT, FROM, WITH, VALUES, SHOW, DESCRIBE, SUMMARIZE, or EXPLAIN of one of these.

    Returns:
        The result of the last one; None if it has none.

    Raises:
        BadInput: a statement does something else than reading, or DuckDB refuses it.
    """
    try:
        statements = connection.extract_statements(query)
        if not statements:
            raise BadInput("query", "must hold a statement", query, "write one, such as SELECT * FROM accuracy")
        for statement in statements:
            if not _reads(connection, statement):
                kind = statement.type.name
                raise BadInput("query", "must only read (SELECT, FROM, WITH, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN)", f"{kind}: {query}", "ask for rows")
        result = connection.sql(query)
        return None if result is None else result.materialize()
    except duckdb.IOException as error:
        raise BadInput("query", "must find the files of its units", query, f"one was rebuilt or removed meanwhile, ask again ({error})") from None
    except duckdb.Error as error:
        raise BadInput("query", "must be a query that DuckDB runs on these tables", query, _reason(error)) from None


def _reason(error: duckdb.Error) -> str:
    """DuckDB's message without the query, which it repeats with a mark below: two lines at most."""
    lines = [line for line in str(error).partition("\nLINE ")[0].splitlines() if line.strip()]
    return "\n".join(lines[:2])


def _reads(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> bool:
    """Whether a statement is a SELECT (for DuckDB, SHOW and the like are), or explains one."""
    if statement.type != duckdb.StatementType.EXPLAIN:
        return bool(statement.type == duckdb.StatementType.SELECT)
    inner = connection.extract_statements(_EXPLAIN.sub("", statement.query, count=1))
    return [each.type for each in inner] == [duckdb.StatementType.SELECT]


def describe_views() -> list[tuple[str, str, tuple[Column, ...]]]:
    """Name, meaning and columns of every table and view except ``units``, for documentation."""
    files = [(table.name, table.meaning, view_columns(table)) for _, table in file_tables()]
    return files + [(summary.name, summary.meaning, summary.columns) for summary in SUMMARIES]


def _unit(row: Mapping[str, Any], home: Path) -> tuple[Any, ...] | None:
    folder = Path(row["folder"])
    try:
        manifest = read_manifest(folder)
    except StoreError:
        return None
    place = folder.absolute().relative_to(home.absolute()).as_posix()  # links below the data root stay as they are
    facts = (manifest.get("bytes"), manifest.get("seconds"), manifest.get("finished"))
    return (
        row["member"],
        row["stage"],
        row["name"],
        folder.name,
        place,
        *facts,
        json.dumps(manifest.get("counts", {})),
        json.dumps(manifest.get("settings", {})),
        json.dumps(dict(row.get("labels", {}))),
    )


def _file_query(connection: duckdb.DuckDBPyConnection, stage: Stage, table: Table, home: Path) -> str:
    """The query over all files of a declared table; ``_place`` gives the folder that they are in."""
    folders = connection.execute("SELECT DISTINCT folder FROM units WHERE stage = ? ORDER BY folder", [stage.name]).fetchall()
    paths = [f"{folder}/{path.name}" for (folder,) in folders for path in sorted((home / folder).glob(table.files))]
    columns = [(column, view_type(column)) for column in view_columns(table)]
    if not paths:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {column.name}" for column, kind in columns)
        return f"SELECT {empty} WHERE false"
    files = f"[{_place(home)} || path FOR path IN [{', '.join(_quote(path) for path in paths)}]]"
    scan = f"read_parquet({files}, union_by_name = true, filename = 'unit_file')"
    present = {str(name).lower() for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()}
    chosen = ", ".join(f"CAST({_source(column, present)} AS {kind}) AS {column.name}" for column, kind in columns[1:])
    where = f"u.stage = {_quote(stage.name)} AND u.fingerprint = regexp_extract(p.unit_file, {_FINGERPRINT}, 1)"
    return f"SELECT u.experiment, {chosen} FROM {scan} p JOIN units u ON {where}"


def _source(column: Column, present: set[str]) -> str:
    if column.sql:
        return column.sql
    return f"p.{column.name}" if column.name.strip('"').lower() in present else "NULL"


def _place(home: Path) -> str:
    """The data root as an expression that DuckDB evaluates each time a view is read; see the module."""
    own = "current_setting('temp_directory')"
    beside = rf"CASE WHEN regexp_matches({own}, '(^|[/\\]){_OPEN}') THEN regexp_replace({own}, '{_OPEN}', '') ELSE {_quote(_folder(home))} END"
    return f"coalesce(getvariable('{_HOME}'), {beside})"


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, meaning: str, columns: Iterable[Column]) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {_quote(meaning)}")
    for column in columns:
        connection.execute(f"COMMENT ON COLUMN {name}.{column.name} IS {_quote(column.meaning)}")


def _search_from(connection: duckdb.DuckDBPyConnection, home: Path) -> None:
    connection.execute(f"SET VARIABLE {_HOME} = {_quote(_folder(home))}")


def _folder(home: Path) -> str:
    """The data root as the beginning of a path."""
    return f"{home.resolve()}{os.sep}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
