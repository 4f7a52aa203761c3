"""The gallery in docs/ is what the command writes today, and shows what it says."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from igsm_pipeline.text import parse_solution, render_answer, render_sentences, render_solution
from igsm_pipeline.toolbox.gallery import DAMAGES, DOCS, EXHIBITS, draw_problem, gallery_files, write_gallery
from igsm_pipeline.toolbox.packed_row import example_row
from igsm_pipeline.verification import Error
from tests.reference.slow_verifier import judge


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return gallery_files()


def test_the_gallery_is_up_to_date(files: dict[str, str]) -> None:
    found = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in (DOCS / "gallery.md", *DOCS.glob("gallery/*"))}
    assert found == files, "python -m igsm_pipeline.toolbox.gallery writes it anew"


def test_it_is_written_below_a_folder(files: dict[str, str], tmp_path) -> None:
    write_gallery(tmp_path)
    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in files} == files


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit[0])
def test_each_problem_has_its_op_graphs_and_three_wrong_solutions(files: dict[str, str], exhibit) -> None:
    name, world, family, op = exhibit
    problem, page = draw_problem(world, family, op), files["gallery.md"]
    assert problem.op == op
    structure, dependencies = (ElementTree.fromstring(files[f"gallery/{name}_{graph}.svg"]) for graph in ("structure", "dependencies"))
    svg = "{http://www.w3.org/2000/svg}"
    assert len(structure.findall(f"{svg}rect")) == sum(map(len, problem.items))
    assert {title.text for title in structure.iter(f"{svg}title")} == {f"{problem.name(one)} = {problem.values[one]}" for one in problem.instances}
    assert {title.text for title in dependencies.iter(f"{svg}title")} == {f"{problem.name(one)} = {problem.values[one]}" for one in problem.graph}
    right = parse_solution(render_solution(problem))
    kinds = []
    for damage in DAMAGES.values():
        kind, sentence, parameter = judge(problem, render_sentences(damage(problem, right)), render_answer(problem))
        kinds.append(kind)
        assert f"`{kind}` in sentence {sentence + 1}, which defines {parameter};" in page
    assert kinds[1:] == [Error.UNDEFINED_SYMBOL, Error.WRONG_DEPENDENCY]
    assert kinds[0] in (Error.WRONG_ARITHMETIC, Error.WRONG_REFERENCE, Error.WRONG_VALUE)


def test_the_packed_row_shows_what_the_queries_see_and_no_more(files: dict[str, str]) -> None:
    row = example_row()
    assert row.position == (0, 1, 2)
    for query, position in enumerate(row.position):
        texts = [text for text, seen in zip(row.texts, row.seen(query), strict=True) if seen]
        assert texts.count("[START]") == texts.count("[END]") == 1
        assert texts[-1] == "[END]"
        assert texts.count(" Define") == position
        assert sum(text == "." for text in texts) == 2 + position, "two statements, and the sentences that were read"
    drawn = ElementTree.fromstring(files["gallery/packed_row.svg"])
    filled = [one for one in drawn.iter("{http://www.w3.org/2000/svg}rect") if one.get("fill") != "none"]
    assert len(filled) == len(row.texts) + sum(int(row.seen(query).sum()) for query in range(3))


def test_the_labels_of_the_last_position_are_the_values(files: dict[str, str]) -> None:
    rows = [line.strip("| ").split(" | ") for line in files["gallery.md"].splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(rows) > 40
    for row in rows:
        value, nece, last = row[2], row[3], row[-1]
        assert (last == value) if nece == "1" else last in "○·"
