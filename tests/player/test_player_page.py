"""The page loads nothing, holds every module once, and no text of a problem ends its script."""

import json
import re

import pytest

from igsm_pipeline.player.page import MODULES, QUESTIONS, SHORT_WORDS, STATIC, about, bundle, embedded_json, player_fragment, player_page
from igsm_pipeline.queries.tasks import ALL_TASKS
from igsm_pipeline.reports.page import foreign_references

LONGEST = 400
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<name>[a-z]+\.js)";$')


def test_a_page_refers_to_nothing_elsewhere_and_a_fragment_is_part_of_it() -> None:
    page = player_page("A <title>", [])
    assert foreign_references(page) == []
    assert "&lt;title&gt;" in page
    assert player_fragment([], keys="page") in page
    assert page.count("<section") == page.count("</section>") == 1


def test_text_of_a_document_cannot_leave_its_script() -> None:
    evil = "</script><script>alert(1)</script><!--"
    data = embedded_json({"question": evil})
    assert "<" not in data
    assert json.loads(data) == {"question": evil}


def test_modules_import_only_what_stands_before_them_and_the_bundle_has_neither_imports_nor_exports() -> None:
    assert {path.name for path in STATIC.glob("*.js")} == set(MODULES)
    for place, name in enumerate(MODULES):
        for line in (STATIC / name).read_text(encoding="utf-8").splitlines():
            if line.startswith("import"):
                found = IMPORT.match(line)
                assert found, line
                assert found["name"] in MODULES[:place]
    assert not re.search(r"^(import|export)\b", bundle(), re.MULTILINE)


@pytest.mark.parametrize("name", [*sorted(path.name for path in STATIC.iterdir())])
def test_a_file_of_the_browser_is_short_and_its_lines_too(name: str) -> None:
    lines = (STATIC / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= 150


def test_every_task_is_told_in_words() -> None:
    assert [task["name"] for task in about()["tasks"]] == list(ALL_TASKS)
    assert set(SHORT_WORDS) == set(QUESTIONS) == set(ALL_TASKS)
    assert {task["when"] for task in about()["tasks"]} == {"prompt", "statements", "steps"}
