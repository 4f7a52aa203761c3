"""From an asset to its section of the report, which `igsm ui` serves beside Dagster's page; and members in the order that people look for."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from reference.tiny_experiment import MEMBER, SIBLING

from igsm_pipeline.defs.graph.links import SECTIONS, newest_report, report_url
from igsm_pipeline.defs.graph.partitions import in_order
from igsm_pipeline.defs.operating.report_pages import SANDBOX, ReportPages
from igsm_pipeline.experiments import load_members
from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.store import Store, Unit


def write_report(member: str, text: str, seed: int = 0) -> Path:
    """A finished report of a member, with this page."""
    store, unit = Store.at_home(), Unit("report", "report", 1, {"member": member, "title": str(seed)})
    with store.write(unit) as writing:
        (writing.folder / "report.html").write_text(text)
    return store.path(unit)


def get(path: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of what the pages answer."""
    sent: list[Any] = []

    async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"Dagster"})

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # the browser stays
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    with ThreadPoolExecutor(1) as apart:  # another test may have left a loop running in this thread
        apart.submit(lambda: asyncio.run(ReportPages(elsewhere)(scope, receive, send))).result()
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:]).decode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    return tmp_path


def test_the_newest_report_of_a_member_is_served_in_a_sandbox(home: Path) -> None:
    write_report("a.x=1", "<p>old</p>")
    newest = write_report("a.x=1", "<p>new</p>", seed=1)
    write_report("b", "<p>other</p>", seed=2)
    manifest = newest / "manifest.json"
    manifest.write_text(re.sub(r'"finished": *"[^"]*"', '"finished": "2999-01-01T00:00:00+00:00"', manifest.read_text()))
    assert newest_report(Store.at_home().root, "a.x=1") == newest / "report.html"
    status, headers, text = get(report_url("a.x=1").replace("%3D", "="))
    assert (status, text, headers["content-security-policy"]) == (200, "<p>new</p>", SANDBOX)
    assert headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/report/nobody", "/report/../store/world", "/report/"])
def test_where_there_is_no_report_a_line_says_how_to_get_one(home: Path, path: str) -> None:
    write_report("b", "<p>other</p>")
    status, _, text = get(path)
    assert status == 404
    assert "igsm run" in text


def test_everything_else_is_dagster_s(home: Path) -> None:
    assert get("/assets/report")[2] == get("/report")[2] == "Dagster"


def test_every_stage_but_the_report_has_a_section() -> None:
    assert set(SECTIONS) == set(STAGES) - {"report"}


@pytest.mark.slow
def test_every_section_stands_in_a_report(tiny_home: Path) -> None:
    page = newest_report(Store.at_home().root, MEMBER)
    assert page is not None
    there = set(re.findall(r'<h2 id="([^"]+)"', page.read_text()))
    untold = SECTIONS["interchange"]  # a model of twelve steps begins every problem alike, so no pair of twins tells anything
    assert set(SECTIONS.values()) - {untold} <= there


def test_members_with_a_report_come_first_and_built_in_grids_last(home: Path) -> None:
    (home / "experiments").mkdir()
    (home / "experiments" / "zz.yaml").write_text("base: mini\ngrid: {training.seed: {s0: 0, s1: 1}}\n")
    members = load_members({})
    keys = in_order(members, {"mini_depth.8x68.s1", "small"} & set(members))
    first = [key for key in keys if key in ("mini_depth.8x68.s1", "small")]
    assert keys[: len(first) + 2] == [*first, "zz.s0", "zz.s1"]
    assert keys.index("mini") < keys.index("depth_med.GPT2-4-21.s0" if "depth_med.GPT2-4-21.s0" in keys else keys[-1])
    assert sorted(keys) == sorted(members)
    assert "mini" in keys
    assert (MEMBER in keys, SIBLING in keys) == (False, False)
