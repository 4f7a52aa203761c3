"""A document says what is true, what was written and where it went wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from reference.tiny_mind import make_mind

from igsm_pipeline.player.choosing import AT_LEAST, Chosen, choose_problems, kind_of
from igsm_pipeline.player.reader import MindReader, Written
from igsm_pipeline.player.scene import STEP_TASKS, describe_solution, make_scene, place_in_layers, stated_value
from igsm_pipeline.problems import Problem, ProblemSetSettings, family_by_name, generate
from igsm_pipeline.queries.labels import label_query
from igsm_pipeline.text import parse_problem
from igsm_pipeline.verification import ERRORS_TOLD, Error
from igsm_pipeline.world import load_world

TEXT = (
    " How many Hiking Daypack does Computer Lab have? The number of each Computer Lab's Hiking Daypack equals 4 more than each Film Workshop's "
    "Backpack. The number of each Computer Lab's Canvas Rucksack equals 1. The number of each Film Workshop's Canvas Rucksack equals 3."
)
GOOD = "Define Film Workshop's Canvas Rucksack as a; so a = 3.", "Define Film Workshop's Backpack as b; so b = a = 3."
LAST = "Define Computer Lab's Hiking Daypack as c; so c = 4 + b = 4 + 3 = 2."


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> MindReader:
    return MindReader(make_mind(tmp_path_factory.mktemp("mind")))


@pytest.fixture(scope="module")
def problem() -> Problem:
    return parse_problem(TEXT, load_world("mini"), 5).solved()


def written(reader: MindReader, sentences: tuple[str, ...], answer: str = "2") -> Written:
    table = reader.table
    ids = [*table.encode("".join(f" {one}" for one in sentences)), table.answer, *table.encode(f" {answer}"), table.eos]
    return reader.read_tokens(np.array(ids))


def test_a_right_solution_is_solved_and_its_truth_is_that_of_the_labels(reader: MindReader, problem: Problem) -> None:
    own = written(reader, (*GOOD, LAST))
    scene = make_scene(reader, problem, own, id="x", slice="op=max", row=7)
    assert (scene["kind"], scene["op"], scene["answer"], scene["slice"], scene["row"]) == ("solved", problem.op, "2", "op=max", 7)
    parameters = reader.parameters(problem)
    assert [one["name"] for one in scene["parameters"]] == [problem.name(one) for one in parameters]
    assert scene["parameters"][scene["query"]]["name"] == "Computer Lab's Hiking Daypack"
    told = scene["solutions"]["own"]
    assert [one["value"] for one in told["sentences"]] == [3, 3, 2]
    order = replace(problem, order=tuple(parameters[one["parameter"]] for one in told["sentences"]))
    for task in STEP_TASKS:
        for t, row in enumerate(told["truth"][task]):
            assert [value if value is not None else 5 for value in row] == [label_query(order, task, t, one) for one in parameters]
    for index, one in enumerate(parameters):
        assert scene["parameters"][index]["necessary"] == bool(label_query(problem, "nece", 0, one))
        rests = [bool(label_query(problem, "dep", 0, one, other)) for other in parameters]
        assert scene["parameters"][index]["rests_on"] == [place for place, holds in enumerate(rests) if holds]
    positions = len(told["sentences"]) + 1
    for arm in ("trained", "random"):
        said = scene["beliefs"][arm]
        assert len(said["nece"]) == len(said["dep"]) == len(said["dep"][0]) == len(parameters)
        assert {len(said["own"][task]) for task in STEP_TASKS} == {positions}
        number, strength, none = said["own"]["value"][1][0]
        assert 0 <= number < 5
        assert 0 <= strength <= 1 >= none >= 0
    assert json.loads(json.dumps(scene, allow_nan=False)) == scene


def test_needless_work_is_marked_and_makes_a_right_solution_redundant(reader: MindReader, problem: Problem) -> None:
    own = written(reader, ("Define Computer Lab's Canvas Rucksack as d; so d = 1.", *GOOD, LAST))
    scene = make_scene(reader, problem, own)
    assert scene["kind"] == "redundant"
    assert [one["unneeded"] for one in scene["solutions"]["own"]["sentences"]] == [True, False, False, False]
    assert scene["solutions"]["own"]["verdict"]["unneeded"] == 1
    assert scene["solutions"]["reference"]["verdict"]["correct"]


def test_the_truth_of_tasks_that_someone_added_is_told_per_quantity_or_pair(
    reader: MindReader, problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = written(reader, (*GOOD, LAST))
    assert "truth" not in make_scene(reader, problem, own)
    monkeypatch.setattr("igsm_pipeline.player.scene.PROMPT_TASKS", ("nece", "dep", "value"))
    scene = make_scene(reader, problem, own)
    several = range(len(scene["parameters"]))
    assert scene["truth"]["nece"] == [one["necessary"] for one in scene["parameters"]]
    assert scene["truth"]["dep"] == [[b in scene["parameters"][a]["rests_on"] for b in several] for a in several]
    assert scene["truth"]["value"] == [None] * len(several)


def test_the_first_error_has_its_sentence_and_plain_words(reader: MindReader, problem: Problem) -> None:
    wrong = GOOD[0], "Define Film Workshop's Backpack as b; so b = 2.", LAST
    told = describe_solution(problem, reader.parameters(problem), written(reader, wrong))
    assert (told["verdict"]["error"], told["verdict"]["sentence"]) == ("wrong_dependency", 1)
    assert told["verdict"]["words"] == ERRORS_TOLD[Error.WRONG_DEPENDENCY].sentence
    assert told["verdict"]["parameter"] == "Film Workshop's Backpack"
    answer = describe_solution(problem, reader.parameters(problem), written(reader, (*GOOD, LAST), "4"))
    assert (answer["verdict"]["sentence"], answer["verdict"]["answer_right"], answer["answer"]) == (3, False, "4")


def test_a_sentence_about_nothing_or_said_twice_changes_no_truth(reader: MindReader, problem: Problem) -> None:
    strange = "Define Film Workshop's Hiking Daypack as z; so z = 3."
    told = describe_solution(problem, reader.parameters(problem), written(reader, (GOOD[0], strange, GOOD[0])))
    assert [one["parameter"] is None for one in told["sentences"]] == [False, True, False]
    assert [one["again"] for one in told["sentences"]] == [False, False, True]
    known = told["truth"]["known"]
    assert [sum(row) for row in known] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("Define A's B as x; so x = 17.", 17),
        ("Define A's B as x; so x = y = 3.", 3),
        ("Define A's B as x; t = y + z = 7 + 9 = 16; so x = 2 * t = 2 * 16 = 9.", 9),
        ("Define A's B as x; so x = y + 3.", None),
        ("and so on.", None),
    ],
)
def test_the_stated_value_is_the_last_number_of_a_sentence(sentence: str, value: int | None) -> None:
    assert stated_value(sentence) == value


def test_a_layer_lies_below_all_that_it_is_computed_from() -> None:
    settings = ProblemSetSettings(family=family_by_name("med"), num_problems=20, block_size=20)
    for problem in next(iter(generate(settings, load_world("igsm")))):
        places = place_in_layers(problem)
        assert set(places) == set(problem.graph)
        assert len(set(places.values())) == len(places)
        for one, (layer, _) in places.items():
            assert all(places[parent][0] < layer for parent in problem.parents(one))
            assert layer == 0 or any(places[parent][0] == layer - 1 for parent in problem.parents(one))


def verdict(part: str, problem: int, *, op: int = 3, correct: bool = True, needless: int = 0, sentence: int | None = None) -> dict[str, object]:
    return {"slice": part, "problem": problem, "op": op, "correct": correct, "unnecessary_parameters": needless, "sentence": sentence}


def test_every_kind_of_every_slice_is_chosen_and_then_more_until_there_are_enough() -> None:
    parts = ("op<=max", "op=max+1")
    rows = [verdict(part, number, op=1 + number % 5) for part in parts for number in range(10)]
    rows += [verdict("op<=max", 50 + number, correct=False, sentence=number) for number in range(3)]
    rows += [verdict("op=max+1", 70, needless=2), verdict("elsewhere", 1)]
    chosen = choose_problems(rows, parts)
    assert len(chosen) == len(set(chosen)) == AT_LEAST
    assert {one.slice for one in chosen} == set(parts)
    assert Chosen("op=max+1", 70) in chosen
    assert chosen.index(Chosen("op<=max", 52)) < chosen.index(Chosen("op<=max", 51))
    assert chosen[0] == Chosen("op<=max", 4)
    assert [one.slice for one in chosen] == sorted((one.slice for one in chosen), key=parts.index)
    assert choose_problems(rows[:3], parts) == [Chosen("op<=max", 2), Chosen("op<=max", 1), Chosen("op<=max", 0)]
    assert choose_problems([], parts) == []


def test_a_kind_is_read_off_a_verdict() -> None:
    kinds = [kind_of(verdict("x", 1)), kind_of(verdict("x", 1, needless=1)), kind_of(verdict("x", 1, correct=False, needless=1))]
    assert kinds == ["solved", "redundant", "wrong"]
