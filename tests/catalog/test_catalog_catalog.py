"""Claims about the DuckDB catalog over a store."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.catalog.catalog import build_catalog, describe_views, open_catalog
from igsm_pipeline.correlation.predictor import PREDICTOR_SCHEMA
from igsm_pipeline.correlation.rates import CORRELATION_SCHEMA
from igsm_pipeline.errors import NotFound, StoreError
from igsm_pipeline.intervals.share import share
from igsm_pipeline.probes.scoring import DISTANCE_SCHEMA, METRICS_SCHEMA
from igsm_pipeline.queries.draw import QUERY_SCHEMA
from igsm_pipeline.store import Store, Unit

SLICES = ("op<=max", "op=max", "op=max+1", "op=max+2", "reask", "by_op")


def _verdicts(seed, num=40):
    rng = np.random.default_rng(seed)
    correct = rng.random(num) < 0.7
    return pa.table(
        {
            "problem": pa.array(np.arange(num), pa.int32()),
            "op": pa.array(rng.integers(1, 4, num), pa.uint8()),
            "correct": correct,
            "error": pa.array([None if ok else "wrong_value" for ok in correct]),
            "sentence": pa.array([None if ok else 1 for ok in correct], pa.int32()),
            "parameter": pa.array([None] * num, pa.string()),
            "final_answer_correct": correct | (rng.random(num) < 0.1),
            "unnecessary_parameters": pa.array(rng.integers(0, 3, num), pa.int32()),
            "unnecessary_operations": pa.array(rng.integers(0, 3, num), pa.int32()),
            "finished": [True] * num,
            "completion_tokens": pa.array([50] * num, pa.int32()),
        }
    )


def _add(store, member, stage, name, tables, **counts):
    unit = Unit(stage, name, 1, {"name": name})
    with store.write(unit) as writing:
        for file, table in tables.items():
            pq.write_table(table, writing.folder / file)
        writing.counts.update(counts)
    labels = {"slice": name.removesuffix(" beam 1"), "beams": 1} if stage in ("verdicts", "generations") else {}
    return {"member": member, "stage": stage, "name": name, "labels": labels, "folder": store.path(unit)}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "da'ta, [1]*"


@pytest.fixture
def rows(home):
    store = Store(home / "store")
    made = [_add(store, "mini", "verdicts", f"{name} beam 1", {"verdicts.parquet": _verdicts(seed)}) for seed, name in enumerate(SLICES)]
    made.append({**made[0], "member": "other"})  # a unit that two members share
    metrics = pa.Table.from_pylist(
        [{"task": "nece", "probe": "linear", "layer": 1, "slice": "reask", "subset": "all", "n": 9}], schema=METRICS_SCHEMA
    )
    files = {"metrics.parquet": metrics, "distances.parquet": DISTANCE_SCHEMA.empty_table()}
    made.append(_add(store, "mini", "probe_scores", "reask", files))
    made.append(_add(store, "mini", "token_shards", "train", {}, tokens=123, windows=4))
    made.append({"member": "mini", "stage": "verdicts", "name": "not computed beam 1", "folder": home / "store" / "verdicts" / "absent"})
    return made


def _fetch(home, sql):
    with open_catalog(home) as connection:
        cursor = connection.execute(sql)
        return [dict(zip([column[0] for column in cursor.description], row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("place", ["store", "store/verdicts", "store/verdicts/{unit}"])
def test_links_at_every_level_of_the_store_are_followed(home, rows, tmp_path, place):
    there = home / place.format(unit=rows[0]["folder"].name)
    there.rename(tmp_path / "larger disk")
    there.symlink_to(tmp_path / "larger disk")
    build_catalog(rows, home)
    (found,) = _fetch(home, "SELECT count(*) AS n FROM verdicts WHERE experiment = 'mini' AND slice = 'op<=max'")
    assert found["n"] == 40


def test_accuracy_has_a_row_per_slice_and_one_per_op_of_the_balanced_set(home, rows):
    build_catalog(rows, home)
    found = _fetch(home, "SELECT * FROM accuracy WHERE experiment = 'mini'")
    assert [row["slice"] for row in found if row["op"] is None] == sorted(set(SLICES) - {"by_op"})
    by_op = _verdicts(SLICES.index("by_op"))
    for op in (1, 2, 3):
        (row,) = [one for one in found if one["op"] == op]
        right = by_op.filter(pa.compute.equal(by_op["op"], op))["correct"].to_pylist()
        expected = share(sum(right), len(right))[:3]
        assert (row["slice"], row["beams"], row["n"], row["correct"]) == (f"op={op}", 1, len(right), sum(right))
        assert (row["accuracy"], row["low"], row["high"]) == pytest.approx(expected)


def test_the_interval_of_a_perfect_slice_does_not_leave_the_unit(home, rows):
    build_catalog(rows, home)
    (row,) = _fetch(home, "SELECT wilson_low(50, 50) AS low, wilson_high(50, 50) AS high, wilson_low(0, 50) AS none")
    assert 0 <= row["none"] <= row["low"] < row["high"] <= 1
    assert (row["low"], row["high"], row["none"]) == (pytest.approx(share(50, 50).low), pytest.approx(1), 0)


def test_redundancy_is_a_mean_over_fully_correct_solutions(home, rows):
    build_catalog(rows, home)
    table = _verdicts(SLICES.index("reask"))
    right = table.filter(table["correct"])["unnecessary_parameters"].to_numpy()
    (row,) = _fetch(home, "SELECT * FROM redundancy WHERE slice = 'reask'")
    assert (row["n"], row["parameters"]) == (len(right), pytest.approx(right.mean()))
    assert row["parameters_margin"] == pytest.approx(1.959964 * right.std(ddof=1) / len(right) ** 0.5)


def test_a_shared_unit_appears_under_every_member_and_an_unfinished_one_under_none(home, rows):
    build_catalog(rows, home)
    assert [tuple(row.values()) for row in _fetch(home, "SELECT experiment, count(*) FROM verdicts GROUP BY ALL ORDER BY 1")] == [
        ("mini", 40 * len(SLICES)),
        ("other", 40),
    ]


def test_views_survive_a_move_of_the_data_folder(home, rows, tmp_path):
    build_catalog(rows, home)
    before = _fetch(home, "SELECT * FROM accuracy")
    moved = tmp_path / "elsewhere"
    home.rename(moved)
    assert _fetch(moved, "SELECT * FROM accuracy") == before


def test_every_view_can_be_read_empty_or_not_and_documents_each_column(home, rows):
    for given in ([], rows):
        build_catalog(given, home)
        for name, meaning, columns in describe_views():
            with open_catalog(home) as connection:
                assert [column[0] for column in connection.execute(f"SELECT * FROM {name}").description] == [c.name.strip('"') for c in columns]
            listed = "SELECT view_name AS name, comment FROM duckdb_views() UNION ALL SELECT table_name, comment FROM duckdb_tables()"
            (told,) = _fetch(home, f"SELECT comment FROM ({listed}) WHERE name = '{name}'")
            assert told["comment"] == meaning
            comments = _fetch(home, f"SELECT column_name, comment FROM duckdb_columns() WHERE table_name = '{name}'")
            assert all(row["comment"] for row in comments), name


def test_shards_and_units_say_what_the_manifests_say(home, rows):
    build_catalog(rows, home)
    (row,) = _fetch(home, "SELECT * FROM shards")
    assert (row["set"], row["tokens"], row["windows"], row["problems"]) == ("train", 123, 4, None)


def test_readers_cannot_write_and_keep_the_catalog_they_opened(home, rows):
    build_catalog(rows, home)
    with open_catalog(home) as connection:
        build_catalog([], home)
        assert connection.execute("SELECT count(*) FROM verdicts").fetchone() == (40 * (len(SLICES) + 1),)
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("CREATE TABLE t (a INTEGER)")
    assert _fetch(home, "SELECT count(*) AS n FROM verdicts") == [{"n": 0}]
    assert sorted(path.name for path in home.iterdir()) == ["igsm.duckdb", "store"]


def test_a_missing_catalog_is_said_to_be_missing(tmp_path):
    with pytest.raises(NotFound, match="build it"):
        open_catalog(tmp_path)


def test_views_hold_every_column_of_the_files_they_read():
    columns = {name: {column.name for column in found} for name, _, found in describe_views()}
    assert set(METRICS_SCHEMA.names) <= columns["probe_metrics"]
    assert set(DISTANCE_SCHEMA.names) - {"task"} <= columns["layer_distance"]
    assert set(CORRELATION_SCHEMA.names) <= columns["error_correlation"]
    assert set(PREDICTOR_SCHEMA.names) <= columns["mistake_predictor"]
    assert set(QUERY_SCHEMA.names) <= columns["queries"]


def test_the_probe_table_sets_probes_controls_and_majority_side_by_side(home, rows):
    def row(probe, value, **more):
        gain = {"balanced_accuracy_gain": 0.2, "balanced_accuracy_gain_low": 0.1} if probe == "v_probe" else {}
        return {
            "task": "nece",
            "probe": probe,
            "slice": "op=max",
            "subset": "all",
            "n": 9,
            "candidates": "existing",
            "balanced_accuracy": value,
            **gain,
            **more,
        }

    scores = [
        row("v_probe", 0.9),
        row("random", 0.7),
        row("linear", 0.95, layer=0, chosen=False),
        row("linear", 0.8, layer=1, chosen=True),
        row("majority", 0.5),
        row("v_probe", 0.1, op=3),
    ]
    made = _add(Store(home / "store"), "mini", "probe_scores", "op=max", {"metrics.parquet": pa.Table.from_pylist(scores, schema=METRICS_SCHEMA)})
    build_catalog([*rows, made], home)
    (found,) = _fetch(home, "SELECT * FROM probe_table WHERE slice = 'op=max'")
    assert (found["v_probe"], found["random"], found["linear"], found["linear_layer"], found["majority"]) == (0.9, 0.7, 0.8, 1, 0.5)
    assert (found["gain"], found["gain_low"], found["linear_random"], found["n"]) == (0.2, 0.1, None, 9)


PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
FIVE = [query for number, query in re.findall(r"^## (\d+)\. .+?$.*?```sql\n(.+?)```", PAGE, re.M | re.S) if number in ("1", "3", "4", "5", "7")]
CLIENT = """
import json, sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(json.dumps([connection.execute(query).fetchall() for query in json.loads(sys.argv[2])], default=str))
"""


def _ask_plainly(catalog, queries, cwd="/"):
    done = subprocess.run([sys.executable, "-c", CLIENT, str(catalog), json.dumps(queries)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def written(home, rows):
    """The store with solutions, too, and its catalog."""
    text = pa.table({"problem": pa.array(range(40), pa.int32()), "tokens": [[1]] * 40, "finished": [True] * 40, "text": ["so"] * 40})
    build_catalog([*rows, _add(Store(home / "store"), "mini", "generations", "op<=max beam 1", {"generations.parquet": text})], home)
    return home


def test_the_module_answers_from_any_directory_and_after_a_move(written, tmp_path):
    before = _ask_plainly(written / "igsm.duckdb", FIVE)
    assert len(before) == 5
    assert all(before)
    assert before[4][0][-1] == "so"
    moved = tmp_path / "Lab é (x, 2024)" / "da'ta"
    moved.parent.mkdir()
    written.rename(moved)
    assert _ask_plainly(moved / "igsm.duckdb", FIVE) == before
    assert _ask_plainly("igsm.duckdb", FIVE, moved) == before
    assert _ask_plainly(f"../{moved.name}/igsm.duckdb", FIVE, moved.parent / moved.name) == before


def test_results_are_in_the_file_itself(written, tmp_path):
    names = ("accuracy", "redundancy", "verdict_counts", "probe_metrics", "probe_table", "layer_distance", "error_correlation")
    queries = [f"FROM {name}" for name in (*names, "mistake_predictor", "checkpoints", "shards", "units")]
    before = _ask_plainly(written / "igsm.duckdb", queries)
    assert before[0]
    assert before[3]
    alone = tmp_path / "alone.duckdb"
    (written / "igsm.duckdb").rename(alone)
    (written / "store").rename(tmp_path / "gone")
    assert _ask_plainly(alone, queries) == before


def test_attached_to_another_database_views_look_where_they_were_built_or_where_they_are_told(written, tmp_path):
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        place = str(written / "igsm.duckdb").replace("'", "''")
        connection.execute(f"ATTACH '{place}' AS lab (READ_ONLY)")
        assert connection.sql("SELECT count(*) FROM lab.generations").fetchall() == [(40,)]
        (written / "store").rename(tmp_path / "store")
        with pytest.raises(duckdb.IOException, match="No files found"):
            connection.sql("SELECT count(*) FROM lab.generations").fetchall()
        connection.execute(f"SET VARIABLE igsm_home = '{tmp_path}/'")
        assert connection.sql("SELECT count(*) FROM lab.generations").fetchall() == [(40,)]


def test_verdict_counts_add_up_to_the_verdicts(home, rows):
    build_catalog(rows, home)
    counts = _fetch(
        home, "SELECT slice, sum(n) AS n, sum(n) FILTER (error IS NULL) AS correct FROM verdict_counts WHERE experiment = 'mini' GROUP BY 1"
    )
    right = {name: sum(_verdicts(seed)["correct"].to_pylist()) for seed, name in enumerate(SLICES)}
    assert {row["slice"]: (row["n"], row["correct"]) for row in counts} == {name: (40, number) for name, number in right.items()}


CRASHING = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE mine (a INTEGER)")
os._exit(0)
"""


def test_a_write_ahead_file_of_another_client_goes_with_the_catalog_it_belongs_to(home, rows):
    build_catalog(rows, home)
    subprocess.run([sys.executable, "-c", CRASHING, str(home / "igsm.duckdb")], check=True)
    assert (home / "igsm.duckdb.wal").exists()
    build_catalog(rows, home)
    assert not (home / "igsm.duckdb.wal").exists()
    assert _fetch(home, "SELECT count(*) AS n FROM units")[0]["n"] == len(rows) - 1


def test_a_file_that_is_no_parquet_is_named_and_the_older_catalog_stays(home, rows):
    build_catalog(rows, home)
    damaged = next((home / "store").rglob("metrics.parquet"))
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    with pytest.raises(StoreError, match=r"metrics\.parquet.*--deep"):
        build_catalog(rows, home)
    assert len(_fetch(home, "FROM probe_metrics")) == 1
