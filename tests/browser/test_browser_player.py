"""The player in a browser: stepping, both solutions, keys, links, narrow screens; and `igsm play`, from the draw to the beliefs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from reference.accessibility import serious_findings
from reference.tiny_mind import make_mind

import igsm_pipeline.player.page as page_module
from igsm_pipeline.play.app import make_app
from igsm_pipeline.play.live import LiveMind
from igsm_pipeline.play.serving import listen
from igsm_pipeline.player.files import RECORDED, recorded_in
from igsm_pipeline.player.page import player_page
from igsm_pipeline.player.reader import MindReader
from igsm_pipeline.player.scene import make_scene
from igsm_pipeline.text import parse_problem

pytestmark = pytest.mark.browser
TEXT = (
    " How many Hiking Daypack does Computer Lab have? The number of each Computer Lab's Hiking Daypack equals 4 more than each Film Workshop's "
    "Backpack. The number of each Computer Lab's Canvas Rucksack equals 1. The number of each Film Workshop's Canvas Rucksack equals 3."
)
SENTENCES = (
    "Define Computer Lab's Canvas Rucksack as d; so d = 1.",
    "Define Film Workshop's Canvas Rucksack as a; so a = 3.",
    "Define Film Workshop's Backpack as b; so b = 2.",
    "Define Computer Lab's Hiking Daypack as c; so c = 4 + b = 4 + 2 = 1.",
)
"""The first is needless, the third is wrong."""
PERCENT = "\u202f%"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_mind(tmp_path_factory.mktemp("mind"))


@pytest.fixture(scope="module")
def scenes(files: Any) -> list[dict[str, Any]]:
    reader = MindReader(files)
    table, problem = reader.table, parse_problem(TEXT, files.world, 5).solved()
    ids = [*table.encode("".join(f" {one}" for one in SENTENCES)), table.answer, *table.encode(" 1"), table.eos]
    right = reader.reference(problem)
    wrong = make_scene(reader, problem, reader.read_tokens(np.array(ids)), id="op=max/3", slice="op=max", row=3)
    return [make_scene(reader, problem, right, id="op<=max/1", slice="op<=max", row=1), wrong]


@pytest.fixture
def site(scenes: list[dict[str, Any]], tmp_path: Path) -> str:
    path = tmp_path / "player.html"
    path.write_text(player_page("A player", scenes), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Opens addresses; no page may complain or, but for the server's own, load anything."""
    contexts, complaints, loaded = [], [], []

    def go(address: str, *, width: int = 1200, scheme: str = "light") -> Any:
        contexts.append(browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(address)
        return page

    yield go
    assert not [words for words in complaints if "422" not in words]
    assert all(url.startswith(("file:", "data:", "http://127.0.0.1:")) for url in loaded)
    for context in contexts:
        context.close()


def where(page: Any) -> str:
    return str(page.locator(".where").inner_text())


def lit(page: Any) -> str:
    return str(page.locator(".solution li[aria-current=step]").inner_text())


def test_buttons_step_through_the_model_s_own_solution_and_light_its_sentences(opened: Any, site: str) -> None:
    page = opened(f"{site}#player?problem=op%3Dmax%2F3")
    assert where(page) == "Before the first word"
    assert page.locator("[data-go^='one sentence back']").is_disabled()
    for number, sentence in enumerate(SENTENCES, 1):
        page.locator("[data-go^='next sentence']").click()
        assert where(page) == f"After sentence {number} of 4"
        assert lit(page).startswith(sentence)
    assert page.locator("[data-go^='next sentence']").is_disabled()
    assert page.locator(".solution .tag.needless").count() == 1
    assert "first error: it is computed from other quantities" in page.locator(".solution li.wrong").inner_text()
    assert page.locator("svg .above .error").count() == 1
    page.locator(".solution li button").nth(2).click()
    assert where(page) == "After sentence 2 of 4"
    page.locator("[data-go^='to the start']").click()
    assert lit(page) == "Before the first word" or lit(page).endswith("Before the first word")


def test_arrow_keys_space_home_and_end_step_and_keep_the_focus(opened: Any, site: str) -> None:
    page = opened(f"{site}#player?problem=op%3Dmax%2F3")
    before = page.evaluate("scrollY")
    for key, words in (("ArrowRight", 1), ("Space", 2), ("ArrowLeft", 1), ("End", 4), ("Shift+Space", 3), ("Home", 0), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        assert where(page) == (f"After sentence {words} of 4" if words else "Before the first word")
    assert page.evaluate("scrollY") == before
    page.locator("[data-go^='next sentence']").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert where(page) == "After sentence 2 of 4"
    assert page.evaluate("document.activeElement.dataset.go").startswith("next sentence")
    page.locator("svg .node").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("svg .node").first.get_attribute("class").endswith("focus")
    assert page.evaluate("document.activeElement.dataset.index") == page.locator("svg .node").first.get_attribute("data-index")


def test_both_solutions_and_both_weights_show_the_beliefs_of_the_document(opened: Any, site: str, scenes: list[dict[str, Any]]) -> None:
    page = opened(f"{site}#player?problem=op%3Dmax%2F3&step=1")
    scene = scenes[1]
    for solution in ("own", "reference"):
        for weights in ("trained", "random"):
            page.locator(f".choice button[data-value={solution}]").click()
            page.locator(f".choice button[data-value={weights}]").click()
            page.keyboard.press("Home")
            page.keyboard.press("ArrowRight")
            title = page.locator(".solution h3").inner_text()
            assert title == ("The model's own solution" if solution == "own" else "The reference solution")
            said = scene["beliefs"][weights]
            truth = scene["solutions"][solution]["truth"]
            for index in range(len(scene["parameters"])):
                row = page.locator(f"tbody tr[data-index='{index}']")
                strengths = {task: said[solution][task][1][index] for task in ("known", "can_next", "nece_next")} | {"nece": said["nece"][index]}
                for task, strength in strengths.items():
                    cell = row.locator(f"td[data-task={task}]")
                    assert float(cell.locator(".amount").inner_text().removesuffix(PERCENT)) == pytest.approx(100 * strength, abs=0.51)
                    holds = scene["parameters"][index]["necessary"] if task == "nece" else truth[task][1][index] == 1
                    assert ("untrue" in cell.get_attribute("class").split()) == (not holds)
                    assert cell.locator(".unequal").count() == int((strength > 0.5) != holds)
                number, strength, none = said[solution]["value"][1][index]
                words = row.locator("td[data-task=value] .amount").inner_text()
                assert words.startswith(f"{number} ·" if strength >= none else "none ·")


def test_every_question_is_drawn_in_the_graph_with_its_numbers(opened: Any, site: str, scenes: list[dict[str, Any]]) -> None:
    page = opened(f"{site}#player?problem=op%3Dmax%2F3&step=2&weights=trained")
    scene = scenes[1]
    assert page.locator("svg .node").count() == len(scene["parameters"])
    assert page.locator("svg .ring").count() == 1
    for task in ("nece", "known", "can_next", "nece_next", "value", "dep"):
        page.locator(f".choice button[data-value={task}]").click()
        for index in range(len(scene["parameters"])):
            node = page.locator(f"svg .node[data-index='{index}']")
            said = node.locator(".said").text_content()
            cell = page.locator(f"tbody tr[data-index='{index}'] td.chosen")
            assert said == ("itself" if task == "dep" and index == scene["query"] else cell.locator(".amount").text_content())
    other = next(index for index, one in enumerate(scene["parameters"]) if one["rests_on"] and index != scene["query"])
    page.locator(f"svg .node[data-index='{other}']").click()
    assert scene["parameters"][other]["name"] in page.locator("[data-part=summary]").inner_text()
    outlined = page.locator("svg .node.true").evaluate_all("nodes => nodes.map(node => Number(node.dataset.index))")
    assert sorted(outlined) == scene["parameters"][other]["rests_on"]


def test_a_task_that_someone_added_is_shown_with_what_its_probe_says_and_what_is_true(
    opened: Any, scenes: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, known = scenes[1], page_module.about()["tasks"]
    several = range(len(scene["parameters"]))
    truth = {"once": [index % 2 for index in several], "pair": [[0 if a < b else 1 for b in several] for a in several], "number": [3, *[None] * 9]}
    said = {"once": [0.1, *[0.9] * 9], "pair": [[0.8] * 9] * 9, "number": [[3, 0.7, 0.2]] * 9}
    told = {**scene, "truth": truth, "beliefs": {arm: {**one, **said} for arm, one in scene["beliefs"].items()}}
    more = [{"name": name, "short": name, "question": f"{name}?", "when": "prompt"} for name in truth]
    monkeypatch.setattr(page_module, "about", lambda: {"tasks": [*known, *more]})
    (tmp_path / "player.html").write_text(player_page("A player", [told]), encoding="utf-8")
    page = opened((tmp_path / "player.html").as_uri())
    focus = scene["query"]
    for index in several:
        row = page.locator(f"tbody tr[data-index='{index}']")
        amount = row.locator("td[data-task=once] .amount").inner_text()
        assert amount == f"{round(100 * said['once'][index])}{PERCENT}"
        assert row.locator("td[data-task=once] .unequal").count() == int((said["once"][index] > 0.5) != truth["once"][index])
        assert row.locator("td[data-task=number] .amount").inner_text() == f"3 · 70{PERCENT}"
        assert row.locator("td[data-task=number] .unequal").count() == int(index != 0)
        if index == focus:
            assert row.locator("td[data-label=pair]").inner_text() == "itself"
        else:
            assert row.locator("td[data-task=pair] .unequal").count() == int(truth["pair"][focus][index] == 0)
    for name in truth:
        page.locator(f".choice button[data-value={name}]").click()
        assert "no probe" not in page.locator("svg").first.text_content()


def test_the_address_holds_what_is_shown_and_a_link_leads_back(opened: Any, site: str) -> None:
    page = opened(site)
    page.locator("select").select_option("op=max/3")
    page.locator(".choice button[data-value=random]").click()
    page.locator(".choice button[data-value=known]").click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.locator("tbody tr[data-index='1'] th button").click()
    address = page.url
    again = opened(address)
    assert again.url == address
    for seen in (page, again):
        assert where(seen) == "After sentence 2 of 4"
        assert seen.locator("select").input_value() == "op=max/3"
        pressed = seen.locator(".choice button[aria-pressed=true]").evaluate_all("all => all.map(one => one.dataset.value)")
        assert pressed == ["own", "random", "known"]
        assert seen.locator("tbody tr.focus").get_attribute("data-index") == "1"
    again.evaluate("location.hash = 'player?problem=op%3C%3Dmax%2F1&step=1'")
    again.wait_for_function("document.querySelector('.where').textContent === 'After sentence 1 of 3'")
    strange = opened(f"{site}#player?problem=nosuch&step=zwei&task=nothing&focus=999")
    assert where(strange) == "Before the first word"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 320, 1400])
def test_nothing_is_wider_than_the_screen_and_buttons_are_large_enough_to_touch(opened: Any, site: str, width: int, scheme: str) -> None:
    page = opened(f"{site}#player?problem=op%3Dmax%2F3&step=3&task=value", width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    inner = page.locator("svg .ground").evaluate_all("all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])")
    assert all(left >= 0 and right <= width for left, right in inner)
    for box in (button.bounding_box() for button in page.locator("[data-part=steps] button").all()):
        assert box["width"] >= 44
        assert box["height"] >= 38
    cells = page.locator("td .amount").evaluate_all("all => all.map(one => [one.scrollWidth, one.parentElement.clientWidth])")
    assert all(needed <= room + 1 for needed, room in cells)


def test_everything_has_a_name_for_those_who_do_not_see_it(opened: Any, site: str) -> None:
    page = opened(f"{site}#player?problem=op%3Dmax%2F3&step=1&task=known")
    assert "the probe says" in page.locator("svg .node").first.get_attribute("aria-label")
    assert page.locator("svg[role=group]").get_attribute("aria-label")
    assert "the probe says" in page.locator("td[data-task=known] .unseen").first.text_content()
    assert page.locator("[data-part=summary]").get_attribute("aria-live") == "polite"
    names = page.locator("button, select").evaluate_all("all => all.map(one => one.ariaLabel || one.labels?.[0]?.textContent || one.textContent)")
    assert all(name.strip() for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_has_no_serious_finding_on_the_player(opened: Any, site: str, axe: str, width: int, scheme: str) -> None:
    for task in ("nece", "value", "dep"):
        page = opened(f"{site}#player?problem=op%3Dmax%2F3&step=3&task={task}", width=width, scheme=scheme)
        assert serious_findings(page, axe) == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_has_no_serious_finding_on_the_live_page(opened: Any, played: str, axe: str, width: int, scheme: str) -> None:
    page = opened(played, width=width, scheme=scheme)
    page.wait_for_selector("#player.filled", timeout=300_000)
    page.locator("summary").click()
    assert serious_findings(page, axe) == []


@pytest.fixture
def played(files: Any) -> Iterator[str]:
    mind = LiveMind(files)
    mind.start()
    with served(mind) as address:
        yield address


@contextmanager
def served(mind: LiveMind) -> Iterator[str]:
    """The address of a page that runs in a thread."""
    listening, _ = listen(23000)
    server = uvicorn.Server(uvicorn.Config(make_app(mind), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


def test_a_problem_is_drawn_changed_refused_with_its_place_and_solved(opened: Any, played: str) -> None:
    page = opened(played)
    page.wait_for_selector("#player.filled", timeout=300_000)
    assert "Solved and read in" in page.locator("#said").inner_text()
    page.locator("#op").fill("2")
    page.locator("#seed").fill("7")
    page.locator("#draw").click()
    page.wait_for_selector("option[value='drawn/own/2/7']", state="attached")
    drawn = page.locator("#text").input_value()
    page.locator("summary").click()
    page.locator("#text").fill(drawn.replace("The number", "The\n\nhumber", 1))
    page.locator("#solve").click()
    page.wait_for_selector("#said.refused")
    assert page.locator("#text").get_attribute("aria-invalid") == "true"
    marked = page.locator("#marked mark").text_content()
    assert marked.startswith("The\n\nhumber of each")
    assert page.evaluate("(box => box.value.slice(box.selectionStart, box.selectionEnd))(document.querySelector('#text'))") == marked
    page.locator("#text").fill(drawn)
    assert page.locator("#text").get_attribute("aria-invalid") is None
    page.locator("#solve").click()
    page.wait_for_selector("option[value='typed/2']", state="attached")
    assert page.locator("[data-part=picker] select").input_value() == "typed/2"
    assert page.locator("tbody tr").count() == page.locator("svg .node").count() > 1


def test_recorded_problems_are_played_while_the_model_is_not_loaded_yet(
    opened: Any, files: Any, scenes: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / RECORDED).write_text(json.dumps(scenes), encoding="utf-8")
    with served(LiveMind(replace(files, recorded=recorded_in(tmp_path)))) as address:  # it is never started
        page = opened(address)
        page.wait_for_selector("#player.filled")
        assert "These 2 problems were recorded when tiny was trained" in page.locator("#said").inner_text()
        page.keyboard.press("End")
        assert where(page) == "After sentence 3 of 3"
        assert page.locator("[data-part=picker] option").count() == 2


def test_a_link_to_a_drawn_problem_draws_it_again(opened: Any, played: str) -> None:
    page = opened(f"{played}#player?problem=drawn%2Fown%2F2%2F9&task=known&solution=reference&step=1")
    page.wait_for_selector("#player.filled", timeout=300_000)
    assert (page.locator("#op").input_value(), page.locator("#seed").input_value()) == ("2", "9")
    assert where(page).startswith("After sentence 1 of")
    assert page.locator(".choice button[aria-pressed=true]").all_inner_texts() == ["reference", "trained", "computed"]
