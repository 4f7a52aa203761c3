"""``igsm sql`` for strangers: what it prints, that it only reads, and that readers and writers never wait for each other."""

import json
import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.catalog.catalog import ask, build_catalog, open_catalog
from igsm_pipeline.errors import BadInput
from igsm_pipeline.store import Store, Unit
from igsm_pipeline.toolbox.console import result_lines

ROWS = 7
WRITES = [
    "COPY (SELECT 1) TO '{store}/evil.csv'",
    "COPY (SELECT 1) TO '{home}/evil.csv'",
    "COPY (PIVOT units ON stage) TO '{store}/evil.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{store}/evil.csv'",
    "EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO '{store}/evil.csv'",
    "EXPLAIN ANALYZE EXPLAIN ANALYZE COPY (SELECT 1) TO '{store}/evil.csv'",
    "SELECT 1; COPY (SELECT 1) TO '{store}/evil.csv'",
    "FROM query('COPY (SELECT 1) TO ''{store}/evil.csv''')",
    "EXPORT DATABASE '{store}/evil'",
    "IMPORT DATABASE '{store}'",
    "ATTACH '{store}/evil.duckdb'",
    "ATTACH '{home}/igsm.duckdb' AS other (READ_WRITE)",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{store}/evil.so'",
    "INSERT INTO units (stage) VALUES ('a')",
    "WITH made AS (INSERT INTO units (stage) VALUES ('a') RETURNING 1) FROM made",
    "UPDATE units SET bytes = 0",
    "DELETE FROM units",
    "DROP VIEW accuracy",
    "CREATE TABLE evil (a INTEGER)",
    "CREATE TEMP TABLE evil (a INTEGER)",
    "CREATE SECRET evil (TYPE s3)",
    "CALL enable_logging(storage = 'file', storage_path = '{store}/evil')",
    "FROM enable_logging(storage = 'file', storage_path = '{store}/evil')",
    "SET VARIABLE igsm_home = '/etc/'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "RESET lock_configuration",
    "SET profiling_output = '{store}/evil'",
    "PRAGMA enable_external_access = true",
    "PREPARE evil AS COPY (SELECT 1) TO '{store}/evil.csv'",
    "VACUUM",
    "BEGIN",
]
OUTSIDE = [
    "FROM read_text('{secret}')",
    "FROM read_text('{store}/../secret.txt')",
    "FROM read_text('file://{secret}')",
    "FROM read_blob('/proc/self/environ')",
    "FROM read_csv('{secret}')",
    "FROM '{secret}'",
    "FROM '{home}/secret.parquet'",
    "FROM sniff_csv('{secret}')",
    "FROM glob('{home}/*')",
    "FROM read_csv('https://example.com/x.csv')",
    "FROM read_parquet('s3://bucket/x.parquet')",
    "FROM secret_rows",
    "SELECT getenv('HOME')",
]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A data root with one finished unit and things beside the store that no query may see; tests leave it as it is."""
    home = tmp_path_factory.mktemp("data")
    _fill(home, ROWS)
    (home / "secret.txt").write_text("secret")
    pq.write_table(pa.table({"a": [1]}), home / "secret.parquet")
    return home


@pytest.fixture
def home(tmp_path):
    """A data root of the test's own."""
    _fill(tmp_path, ROWS)
    return tmp_path


def _fill(home, rows):
    store, unit = Store(home / "store"), Unit("generations", "reask beam 1", 1, {"rows": rows})
    with store.write(unit) as writing:
        table = pa.table(
            {"problem": pa.array(range(rows), pa.int32()), "tokens": [[1, 2]] * rows, "finished": [True] * rows, "text": ['é, "n"\n'] * rows}
        )
        pq.write_table(table, writing.folder / "generations.parquet")
    build_catalog([{"member": "mini", "stage": unit.stage, "name": unit.name, "folder": store.path(unit)}], home)


def _places(home):
    return {"home": home, "store": home / "store", "secret": home / "secret.txt"}


@pytest.mark.parametrize("query", WRITES)
def test_nothing_but_reading_is_let_through(kept, query):
    before = sorted(path for path in kept.rglob("*"))
    with open_catalog(kept) as connection, pytest.raises(BadInput):
        ask(connection, query.format(**_places(kept)))
    assert sorted(path for path in kept.rglob("*")) == before
    with open_catalog(kept) as connection:
        assert ask(connection, "SELECT count(*) FROM generations").fetchall() == [(ROWS,)]


@pytest.mark.parametrize("query", OUTSIDE)
def test_no_file_outside_the_store_is_read(kept, query):
    secret_rows = pa.table({"a": [1]})  # what DuckDB would find by name in its caller's frames
    assert len(secret_rows) == 1
    with open_catalog(kept) as connection, pytest.raises(BadInput):
        ask(connection, query.format(**_places(kept)))


@pytest.mark.parametrize(
    "query",
    ["SELECT 1", "FROM units", "WITH a AS (SELECT 1) FROM a", "VALUES (1)", "SHOW TABLES", "DESCRIBE verdicts", "SUMMARIZE units", "EXPLAIN SELECT 1",
     "-- a comment\nEXPLAIN ANALYZE SELECT 1", "SELECT 1; SELECT 2", "FROM (PIVOT units ON stage IN ('world', 'report') USING count(*))"],
)  # fmt: skip
def test_whatever_reads_is_answered(kept, query):
    with open_catalog(kept) as connection:
        assert ask(connection, query) is not None


@pytest.mark.parametrize("query", ["selct", "SELECT nothing FROM units", "SELECT CAST(text AS INTEGER) FROM generations", "SELECT"])
def test_a_faulty_query_is_refused_with_duckdbs_words(kept, query):
    with open_catalog(kept) as connection, pytest.raises(BadInput, match="Error"):
        ask(connection, query)


def test_a_refusal_of_a_query_is_short_and_a_query_of_nothing_is_refused(kept):
    with open_catalog(kept) as connection:
        for query in ("", " ;", "-- nothing"):
            with pytest.raises(BadInput, match="must hold a statement"):
                ask(connection, query)
        with pytest.raises(BadInput, match="Conversion Error") as refused:
            ask(connection, "SELECT CAST('a' AS INTEGER)")
        assert "LINE" not in str(refused.value)
        assert len(str(refused.value).splitlines()) <= 2


def test_csv_and_json_say_the_same_as_the_table(kept):
    query = "SELECT problem, text, CASE WHEN problem = 0 THEN 'nan'::DOUBLE ELSE 0.5 END AS x FROM generations ORDER BY problem LIMIT 2"
    with open_catalog(kept) as connection:
        rows = ask(connection, query).fetchall()
        objects = [json.loads(line) for line in result_lines(ask(connection, query), "json")]
        (csv,) = result_lines(ask(connection, query), "csv")
        (table,) = result_lines(ask(connection, query), "table")
    assert [(one["problem"], one["text"]) for one in objects] == [row[:2] for row in rows]
    assert [one["x"] for one in objects] == [None, 0.5]
    assert csv == 'problem,text,x\n0,"é, ""n""\n",nan\n1,"é, ""n""\n",0.5'
    assert all(word in table for word in ("problem", "text", "0.5"))


def test_json_has_decimals_as_numbers_and_no_nan_however_deep(kept):
    query = "SELECT 0.5 AS half, 3.0::DECIMAL(9,0) AS three, ['nan'::DOUBLE, 1] AS list, {'a': 1.5, 'b': [0.25]} AS struct, DATE '2026-01-02' AS day"
    with open_catalog(kept) as connection:
        (line,) = result_lines(ask(connection, query), "json")
        (csv,) = result_lines(ask(connection, query), "csv")
    assert line == '{"half": 0.5, "three": 3, "list": [null, 1.0], "struct": {"a": 1.5, "b": [0.25]}, "day": "2026-01-02"}'
    assert csv == 'half,three,list,struct,day\n0.5,3,"[null, 1.0]","{""a"": 1.5, ""b"": [0.25]}",2026-01-02'


def test_a_unit_that_goes_away_is_said_to_have_gone(home):
    with open_catalog(home) as connection:
        for path in (home / "store").rglob("generations.parquet"):
            path.unlink()
        with pytest.raises(BadInput, match="ask again"):
            ask(connection, "FROM generations")


READER = """
import sys
from pathlib import Path
from igsm_pipeline.catalog.catalog import ask, open_catalog
with open_catalog(Path(sys.argv[1])) as connection:
    for _ in sys.stdin:
        print(ask(connection, "SELECT count(*) FROM generations").fetchall()[0][0], flush=True)
"""


def test_a_reader_in_another_process_neither_blocks_a_refresh_nor_notices_it(home):
    with subprocess.Popen([sys.executable, "-c", READER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

        def count():
            reader.stdin.write("\n")
            reader.stdin.flush()
            return int(reader.stdout.readline())

        assert count() == ROWS
        _fill(home, ROWS + 1)
        assert count() == ROWS
        reader.stdin.close()
        assert reader.wait() == 0
    with open_catalog(home) as connection:
        assert ask(connection, "SELECT count(*) FROM generations").fetchall() == [(ROWS + 1,)]


def test_readers_see_a_whole_catalog_while_it_is_refreshed_again_and_again(home):
    wrong, stop = [], threading.Event()

    def refresh():
        while not stop.is_set():
            build_catalog([], home)

    writer = threading.Thread(target=refresh)
    writer.start()
    try:
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", READER, str(home)], input="\n", capture_output=True, text=True, check=False)
            if done.returncode or done.stdout.strip() not in ("0", str(ROWS)):
                wrong.append(done.stderr)
    finally:
        stop.set()
        writer.join()
    assert not wrong


def test_a_plain_duckdb_in_the_data_folder_reads_the_same(home, monkeypatch):
    monkeypatch.chdir(home)
    with duckdb.connect("igsm.duckdb", read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM generations").fetchall() == [(ROWS,)]
