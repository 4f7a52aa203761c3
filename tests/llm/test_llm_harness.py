"""The tasks of lm-evaluation-harness: 0 and 100 % of a model of the test's own; the published model gets what its own evaluation gave it."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from igsm_pipeline.llm.harness import exam
from igsm_pipeline.llm.prompts import plan_exam, questions
from igsm_pipeline.text import document

FOLDER = Path(exam.__file__).parent
SMALL = Path(__file__).parents[2] / "data" / "published" / "small"
PARAMETERS = {"ops": "2-5", "n": 20, "shots": 2, "seed": 3}


def solution_of(question):
    text = document(question.problem, "pq")
    return f" {text.solution.strip()}{text.answer}"


def test_a_reply_scores_what_the_verifier_says_of_it_and_a_number_alone_its_answer():
    asked = plan_exam(style="steps", **PARAMETERS)
    for question in questions(asked):
        doc = exam._row(asked, question, "igsm", taught=False)
        assert doc["question"].count("Problem: ") == 3
        assert doc["question"].endswith("\nReply:")
        assert exam.judge(doc, [solution_of(question)]) == {"right_answer": 1.0, "fully_correct": 1.0, "unnecessary_parameters": 0.0}
        assert exam.judge(doc, [f" The answer is {question.answer}."]) == {"right_answer": 1.0, "fully_correct": 0.0, "unnecessary_parameters": 0.0}
        alone = doc | {"style": "answer"}
        assert exam.judge(alone, [f" {question.answer}"]) == {"right_answer": 1.0}
        assert exam.judge(alone, [f" {(int(question.answer) + 1) % 5}"]) == {"right_answer": 0.0}


def test_a_published_model_is_asked_as_it_was_taught():
    asked = plan_exam(published=str(SMALL), ops="op=max", n=3, shots=0, instructions=False, style="steps")
    for question in questions(asked):
        doc = exam._row(asked, question, str(SMALL), taught=True)
        assert doc["question"] == f"{document(question.problem, asked.family.format).prompt}<|solution|>"
        assert doc["problem"] == question.text


def test_the_harness_gets_the_questions_of_the_parameters_and_ignores_the_models_own():
    pytest.importorskip("datasets", reason="comes with the extra harness")
    drawn = exam.draw(**PARAMETERS, style="answer", version=1, pretrained="some/model")["test"]
    assert drawn["problem"] == [one.text for one in questions(plan_exam(**PARAMETERS))]
    assert set(drawn["style"]) == {"answer"}


def scores(model, task: str, metadata: dict):
    """metric -> value as the harness gives it."""
    import lm_eval  # noqa: PLC0415
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    manager = TaskManager(include_path=str(FOLDER), metadata=metadata)
    found = lm_eval.simple_evaluate(model=model, tasks=[task], task_manager=manager, batch_size=16, device="cpu", metadata=metadata)
    return {name.partition(",")[0]: value for name, value in found["results"][task].items() if name.endswith(",none")}


@pytest.mark.slow
def test_a_model_that_knows_all_gets_100_percent_and_one_that_knows_nothing_0():
    pytest.importorskip("lm_eval", reason="comes with the extra harness")
    from lm_eval.api.model import LM  # noqa: PLC0415

    class Scripted(LM):
        """Replies with what ``replies`` makes of each prompt."""

        def __init__(self, replies):
            super().__init__()
            self.replies = replies

        def generate_until(self, requests, disable_tqdm=False):
            return [self.replies[request.args[0]] for request in requests]

        def loglikelihood(self, requests, disable_tqdm=False):
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    asked = plan_exam(style="steps", **PARAMETERS)
    every = list(questions(asked))
    prompts = [exam._row(asked, one, "igsm", taught=False)["question"] for one in every]
    all_right = Scripted(dict(zip(prompts, map(solution_of, every), strict=True)))
    right = scores(all_right, "igsm_steps", PARAMETERS)
    assert {name: right[name] for name in ("right_answer", "fully_correct", "unnecessary_parameters")} == {
        "right_answer": 1.0,
        "fully_correct": 1.0,
        "unnecessary_parameters": 0.0,
    }
    wrong = scores(Scripted(dict.fromkeys(prompts, " I do not know.")), "igsm_steps", PARAMETERS)
    assert (wrong["right_answer"], wrong["fully_correct"]) == (0.0, 0.0)


@pytest.mark.slow
def test_the_published_model_gets_what_its_own_evaluation_gave_it_on_the_same_problems():
    pytest.importorskip("lm_eval.models.huggingface", reason="comes with the extra harness")
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415

    number = 96
    asked = {"published": str(SMALL), "ops": "op<=max", "n": number}
    found = scores(HFLM(pretrained=str(SMALL), dtype="float32", device="cpu", batch_size=16), "igsm_steps", asked)
    verdicts = pq.read_table(SMALL / "results" / "verdicts.parquet").to_pylist()
    own = [row["correct"] for row in verdicts if row["slice"] == "op<=max" and row["beams"] == 1 and row["problem"] < number]
    assert len(own) == number
    assert abs(found["fully_correct"] - sum(own) / number) < 1.5 / number
