"""docs/queries.md: every query in it runs, and its table of views is the catalog's own."""

import re
from pathlib import Path

import pytest

from igsm_pipeline.catalog.catalog import ask, build_catalog, describe_views, open_catalog
from igsm_pipeline.planning.planner import catalog_rows
from igsm_pipeline.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
UNANSWERED = ("18. Where does the choice lie of what to compute first?", "19. How often does a model take back what it named?")
"""A model of twelve steps begins every problem alike, so none of its pairs can be told apart; and it has no token that takes back."""
QUERIES = dict(re.findall(r"^## (\d+\. .+?)$.*?```sql\n(.+?)```", PAGE, re.M | re.S))


def test_there_are_twenty_six_and_they_use_every_view():
    assert len(QUERIES) == 26
    used = set(re.findall(r"\b[a-z_]+\b", " ".join(QUERIES.values())))
    assert {name for name, _, _ in describe_views()} - {"mistake_predictor", "layer_selection", "probe_losses", "mistake_events"} <= used


def test_the_table_of_views_says_what_the_catalog_says():
    rows = re.findall(r"^\| ([a-z_]+) \| (.+) \|$", PAGE, re.M)
    assert dict(rows[1:]) == {name: meaning for name, meaning, _ in describe_views()}


def test_every_query_runs_on_a_catalog_without_results(tmp_path):
    build_catalog([], tmp_path)
    with open_catalog(tmp_path) as connection:
        for title, query in QUERIES.items():
            assert ask(connection, query).fetchall() == [], title


@pytest.mark.slow
def test_every_query_has_an_answer_on_a_real_run(tiny_home):
    build_catalog(catalog_rows(Store(tiny_home / "store")), tiny_home)
    with open_catalog(tiny_home) as connection:
        for title, query in QUERIES.items():
            result = ask(connection, query)
            assert result.fetchall() or title in UNANSWERED, title
            assert result.columns[0] == "experiment", title
