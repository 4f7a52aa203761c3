"""A problem becomes the record that it came from: what ``to_record`` writes, every reader of records reads as before."""

from __future__ import annotations

import numpy as np
import pytest
from reference.drawn_records import draw_batch

from igsm_pipeline.errors import BadProblem
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate_block
from igsm_pipeline.problems.encoding import reordered, to_record
from igsm_pipeline.problems.law.split import fill_template_bins
from igsm_pipeline.problems.record import ProblemBatch, to_problem
from igsm_pipeline.text import document, parse_problem, render_problem, render_question
from igsm_pipeline.world import load_world

EQUAL = ("op", "hierarchy", "first_layer", "widths", "subcategory", "items", "children", "form", "constant", "num_necessary", "order", "graph",
         "statement_order", "symbols", "template_bin")  # fmt: skip


def med(number: int) -> ProblemBatch:
    asked = ProblemSetSettings(family=FamilySettings(), num_problems=number, block_size=number, split="all", stream="encoding")
    return generate_block(asked, load_world("igsm"), 0)


@pytest.mark.parametrize("source", ["law", "any shape"])
def test_a_record_of_a_problem_is_the_record_that_the_problem_came_from(source: str) -> None:
    print("seed 7")
    batch = med(300) if source == "law" else draw_batch(load_world("igsm"), 23, 200, seed=7)
    if source == "any shape":
        fill_template_bins(batch.records)
    again = np.concatenate([to_record(problem, batch.world) for problem in batch])
    fill_template_bins(again)
    for name in EQUAL:
        assert np.array_equal(again[name], batch.records[name]), name
    for mine, row in zip(again, batch.records, strict=True):
        assert to_problem(mine, batch.world, 23) == to_problem(row, batch.world, 23)
        assert [set(one) for one in mine["parents"].tolist()] == [set(one) for one in row["parents"].tolist()]
        existing = [number for number in range(63) if int(row["graph"]) >> number & 1]
        assert mine["values"][existing].tolist() == row["values"][existing].tolist()


def test_items_in_another_order_tell_the_same_problem_with_other_sums() -> None:
    batch, moved = med(60), 0
    for problem in batch:
        turned = reordered(problem, [list(range(len(names)))[::-1] for names in problem.items])
        assert render_problem(turned) + render_question(turned) == render_problem(problem) + render_question(problem)
        assert {turned.name(one): value for one, value in turned.values.items()} == {
            problem.name(one): value for one, value in problem.values.items()
        }
        moved += document(turned, "pq").solution != document(problem, "pq").solution
        assert reordered(turned, [list(range(len(names)))[::-1] for names in problem.items]) == problem
    assert moved > 5


def test_what_no_record_can_hold_is_refused_by_rule() -> None:
    world = load_world("igsm")
    layer = world.hierarchies[0].layers[1]
    one, other = layer.subcategories[0].items[0], layer.subcategories[1].items[0]
    owner = world.hierarchies[0].layers[0].subcategories[0].items[0]
    text = f" The number of each {owner}'s {one} equals 2. The number of each {owner}'s {other} equals 3. How many {one} does {owner} have?"
    with pytest.raises(BadProblem, match=r"items of a category must be of one sub-category of the world, got '.*'"):
        to_record(parse_problem(text, world, 23).solved(), world)
    with pytest.raises(BadProblem, match="order must define the 1 necessary parameters once each"):
        to_record(parse_problem(text, world, 23), world)
    problem = med(1)[0]
    with pytest.raises(BadProblem, match="must use the categories of its world"):
        to_record(problem, load_world("mini"))
