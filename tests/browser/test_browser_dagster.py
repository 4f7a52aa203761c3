"""A person in front of Dagster's pages: the graph, one stage materialised, its plot, two members backfilled, the checks."""

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from reference.served_pages import LONG_S
from reference.tiny_experiment import MEMBER, SIBLING

from igsm_pipeline.defs.graph.results import check_specs
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.planning.flow import find_stage, units_of
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.browser]
GROUPS = ("data", "model", "mind", "result")
STAGES = ("world", "problem_sets", "token_shards", "checkpoint", "generations", "verdicts", "v_probes", "report")
MOST_BYTES = 250_000
SCREEN = {"width": 1400, "height": 900}
WHOLE_GRAPH = {"width": 2400, "height": 3600}
"""Dagster draws only those nodes of the graph that are within the window, and does not make it smaller than can be read."""


@pytest.fixture
def page(browser, pages):
    """An empty tab that waits long and notes what it loads from elsewhere and which errors its scripts throw."""
    page = browser.new_page(viewport=SCREEN)
    page.set_default_timeout(1000 * LONG_S / 3)
    page.foreign, page.thrown = [], []
    page.on("request", lambda request: None if request.url.startswith((pages.dagster, "data:", "blob:")) else page.foreign.append(request.url))
    page.on("pageerror", lambda error: page.thrown.append(str(error)))
    yield page
    page.close()


@pytest.fixture
def picture(page, pytestconfig):
    """Takes a picture of the page into pytest's cache; docs/images holds copies."""
    folder = Path(pytestconfig.cache.mkdir("pictures"))

    def take(name):
        path = folder / f"{name}.png"
        page.screenshot(path=path)
        assert 5_000 < path.stat().st_size < MOST_BYTES

    return take


def launch(page, members):
    """In the asset's page: materialise these partitions."""
    page.get_by_role("button", name="Materialize…").click()
    choice, warning = page.get_by_text("Select a partition or create one"), page.get_by_role("button", name="Confirm")
    choice.or_(warning).first.wait_for()
    if warning.is_visible():  # Dagster has no record yet of the stages above, which the store holds
        warning.click()
    choice.click()
    page.get_by_placeholder("Filter partitions").fill("tiny")
    for member in members:
        page.get_by_role("menuitem").filter(has_text=member).click()
    page.keyboard.press("Tab")
    page.get_by_text("Partition selection").click()
    page.get_by_role("button", name="Launch 1 run" if len(members) == 1 else "Launch backfill").click()


def test_the_pages_show_run_and_check_the_pipeline(page, pages, picture):
    page.set_viewport_size(WHOLE_GRAPH)
    page.goto(f"{pages.dagster}/asset-groups/?expanded={quote(','.join(f'global@global:{group}' for group in GROUPS))}")
    for stage in STAGES:
        page.get_by_text(stage, exact=True).last.wait_for()
    page.set_viewport_size(SCREEN)
    page.get_by_role("button", name="Hide navigation").click()
    page.wait_for_timeout(3000)
    picture("graph")

    store = Store(pages.home / "store")
    lost = store.path(find_unit(find_member(MEMBER), "problem_sets", "op=max"))
    shutil.rmtree(lost)
    page.goto(f"{pages.dagster}/assets/problem_sets")
    launch(page, [MEMBER])
    assert pages.partitions_done(1) == {MEMBER}
    assert (lost / "problems-00000.parquet").is_file()

    page.goto(f"{pages.dagster}/assets/problem_sets?view=partitions&partition={MEMBER}")
    number = sum(unit.stage == "problem_sets" for unit in units_of(find_member(MEMBER)))
    page.get_by_text(f"{number - 1} of {number} hit").first.wait_for()
    page.get_by_text("[Show Markdown]").last.click()
    plot = page.locator("img[src^='data:image/png;base64']").first
    plot.wait_for()
    assert plot.evaluate("image => image.naturalWidth") > 100
    picture("stage")

    page.goto(f"{pages.dagster}/assets/problem_sets")
    launch(page, [MEMBER, SIBLING])
    assert pages.partitions_done(3) == {MEMBER, SIBLING}
    assert [sorted(one["partitionNames"]) for one in pages.backfills()] == [[MEMBER, SIBLING]]

    page.goto(f"{pages.dagster}/assets/problem_sets?view=checks")
    checks = [spec.name for spec in check_specs(find_stage("problem_sets"))]
    assert {"files_intact", "op_histogram", "split_disjoint", "gold_solutions_verify"} <= set(checks)
    for check in checks:
        page.get_by_text(check).first.wait_for()
    page.get_by_text("Passed").first.wait_for()
    assert page.get_by_text("Succeeded", exact=True).count() == len(checks)
    page.wait_for_timeout(2000)
    picture("checks")
    assert not page.foreign
    assert not page.thrown
