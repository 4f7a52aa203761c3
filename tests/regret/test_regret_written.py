"""What is asked along written solutions, and how it is counted, equals a slow walk through the sentences."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from igsm_pipeline import text
from igsm_pipeline.correlation.mistakes import codes_by_name
from igsm_pipeline.intervals.share import wilson_interval
from igsm_pipeline.problems import FamilySettings, Problem, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.problem import Parameter
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.regret.tables import Arm, arm_rows, regret_rows
from igsm_pipeline.regret.written import Asked, ask_along
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.world import load_world

FAMILY = FamilySettings(op_max=6, ip_max=8, modulus=5, op_law="uniform", split_by="problem")


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    asked = ProblemSetSettings(family=FAMILY, law="exact", op=6, num_problems=12, block_size=12, seed=5, split="all")
    return generate_block(asked, load_world("mini"), 0)


@pytest.fixture(scope="module")
def texts(batch: ProblemBatch) -> list[str]:
    """Right solutions, ones without an early sentence, ones with a wrong number, and one with an unknown name."""
    made = []
    for row in range(len(batch)):
        sentences = text.render_solution(batch[row]).rstrip(".").split(".")
        if row % 3 == 1:
            del sentences[row % 2]
        elif row % 3 == 2:
            sentences[1] = sentences[1][:-1] + str((int(sentences[1][-1]) + 1) % 5)
        if row == 9:
            sentences[2] = " Define Nobody's Nothing as z; so z = 1"
        made.append(".".join(sentences) + ".")
    return made


def can_next(problem: Problem, known: set[Parameter], parameter: Parameter) -> bool:
    """By definition: not computed yet, but all that it is computed from."""
    return parameter not in known and set(problem.parents(parameter)) <= known


def asked_slowly(batch: ProblemBatch, texts: list[str]) -> tuple[list[tuple[int, int, int, int]], dict[str, list[tuple[int, int, int]]]]:
    """(problem, sentence, code, label) of every query, and the keys of each subset."""
    queries, subsets = [], {name: [] for name in ("right", "mistake", "elsewhere", "slip")}
    for row, written in enumerate(texts):
        problem, record = batch[row], batch.records[row]
        verdict = verify(problem, written, None)
        codes = codes_by_name(batch, row)
        names = [sentence.split(" as ")[0].removeprefix(" Define ") for sentence in written.rstrip(".").split(".")]
        right = len(names) if verdict.sentence is None else verdict.sentence
        for place, name in enumerate(names[: right + 1]):
            known = {parameter_of_code(record, codes[one]) for one in names[:place] if one in codes}
            labels = {code: int(can_next(problem, known, parameter_of_code(record, code))) for code in sorted(codes.values())}
            queries += [(row, place, code, label) for code, label in labels.items()]
            if place < right:
                subsets["right"].append((row, place, codes[name]))
            elif name in codes and not labels[codes[name]]:
                subsets["mistake"].append((row, place, codes[name]))
                others = [code for code, label in labels.items() if not label and name != (one := problem.name(parameter_of_code(record, code)))
                          and one not in names[:place]]  # fmt: skip
                subsets["elsewhere"] += [(row, place, code) for code in others]
            elif name in codes:
                subsets["slip"].append((row, place, codes[name]))
    return queries, subsets


@pytest.fixture(scope="module")
def asked(batch: ProblemBatch, texts: list[str]) -> Asked:
    verdicts = [verify(batch[row], written, None) for row, written in enumerate(texts)]
    table = pa.table({"correct": [one.correct for one in verdicts], "sentence": [one.sentence for one in verdicts]})
    return ask_along(batch, table, texts)


def keys(asked: Asked) -> list[tuple[int, int, int, int]]:
    return list(zip(*(asked.queries[name].to_pylist() for name in ("problem", "position", "parameter", "label")), strict=True))


def test_queries_labels_and_subsets_are_those_of_a_slow_walk(batch: ProblemBatch, texts: list[str], asked: Asked) -> None:
    queries, subsets = asked_slowly(batch, texts)
    assert sorted(keys(asked)) == sorted(queries)
    assert asked.queries["problem"].to_pylist() == sorted(asked.queries["problem"].to_pylist())
    assert asked.subsets["all"].all()
    for name, wanted in subsets.items():
        assert wanted, f"the test has no case of {name}"
        found = [key[:3] for key, counted in zip(keys(asked), asked.subsets[name].tolist(), strict=True) if counted]
        assert sorted(found) == sorted(wanted), name


def test_a_row_counts_what_the_probe_says_of_its_subset(asked: Asked) -> None:
    label = asked.queries["label"].to_numpy()
    said = np.where(np.arange(len(label)) % 3 == 0, 1 - label, label)
    rows = {row["subset"]: row for row in regret_rows(asked, said)}
    assert set(rows) == set(asked.subsets)
    for name, mask in asked.subsets.items():
        row, truth, answer = rows[name], label[mask], said[mask]
        assert (row["n"], row["computable"]) == (mask.sum(), truth.sum())
        assert math.isclose(row["cannot"], (answer == 0).mean())
        assert math.isclose(row["accuracy"], (answer == truth).mean())
        recalls = [(answer[truth == one] == one).mean() for one in np.unique(truth)]
        assert math.isclose(row["balanced_accuracy"], float(np.mean(recalls)))
    mistakes = rows["mistake"]
    assert mistakes["n"] == mistakes["num_problems"], "one first mistake a problem, so Wilson's interval holds"
    low, high = wilson_interval(round(mistakes["cannot"] * mistakes["n"]), mistakes["n"])
    assert (mistakes["cannot_low"], mistakes["cannot_high"]) == (low, high)
    assert rows["all"]["balanced_accuracy_low"] < rows["all"]["balanced_accuracy"] < rows["all"]["balanced_accuracy_high"]


def test_arms_are_compared_problem_by_problem_with_the_first() -> None:
    ten = np.arange(200)
    greedy = Arm("greedy", 0, ten % 2 == 0, [None] * 200, ten * 0, ten * 0, ten * 0 + 100)
    better = Arm("truth", 5, (ten % 2 == 0) | (ten % 10 == 1), ["parse"] * 200, ten % 6, ten * 0 + 7, ten * 0 + 110)
    first, second = arm_rows([greedy, better])
    assert (first["correct"], first["gain"], first["used_up"]) == (0.5, 0.0, 0.0)
    assert math.isclose(second["correct"], 0.6)
    assert math.isclose(second["gain"], 0.1)
    assert 0.05 < second["gain_low"] < 0.1 < second["gain_high"] < 0.15, "pairs: the spread of the difference, not of two shares (0.1)"
    assert math.isclose(second["used_up"], (ten % 6 == 5).mean())
    assert math.isclose(second["retries"], (ten % 6).mean())
    assert (second["asked"], second["tokens_read"]) == (7, 110)
    again = Arm("truth", 9, np.array([True, False]), [None, "parse"], np.array([8, 9]), np.array([9, 9]), np.array([1, 2]))
    renewed = better.renewed(np.array([3, 7]), again)
    assert (renewed.decoder, renewed.tries) == ("truth", 9)
    assert (renewed.retries[3:8].tolist(), renewed.error[3], renewed.error[4]) == ([8, 4, 5, 0, 9], None, "parse")
    assert (renewed.read[3:8].tolist(), renewed.correct[3:8].tolist()) == ([1, 110, 110, 110, 2], [True, True, False, True, False])
    assert better.retries[3] == 3, "the first arm is as it was"
    solutions = list(better.solutions())
    assert [row["problem"] for row in solutions] == ten.tolist()
    assert solutions[5] == {
        "problem": 5,
        "decoder": "truth",
        "tries": 5,
        "correct": False,
        "error": "parse",
        "retries": 5,
        "asked": 7,
        "tokens_read": 110,
    }
