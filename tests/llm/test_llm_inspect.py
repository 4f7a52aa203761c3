"""The Inspect task: 0 and 100 % on Inspect's mock model; on a served published model, the accuracy of its own evaluation."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reference.servers import free_port, served

inspect_ai = pytest.importorskip("inspect_ai", reason="comes with the extra llm")
pytestmark = pytest.mark.slow
SMALL = Path(__file__).parents[2] / "data/published/small"
SCORERS = ("right_answer", "fully_correct", "first_error", "unnecessary_parameters")


def asked(tmp_path, replies, **parameters):
    """scorer -> metric -> value of the task on the mock model; ``replies`` makes a reply of a question."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: PLC0415

    from igsm_pipeline.llm.prompts import plan_exam, questions  # noqa: PLC0415
    from igsm_pipeline.llm.task import igsm  # noqa: PLC0415

    by_text = {one.text: one for one in questions(plan_exam(**parameters))}

    def say(messages, tools, tool_choice, config):
        output = ModelOutput.from_content("mock", replies(by_text[messages[-1].text]))
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    model = get_model("mockllm/model", custom_outputs=say, memoize=False)
    (log,) = inspect_ai.eval(igsm(**parameters), model=model, log_dir=str(tmp_path), display="none")
    assert log.status == "success", log.error
    return {score.name: {name: metric.value for name, metric in score.metrics.items()} for score in log.results.scores}, log


def solution_of(question):
    from igsm_pipeline.text import document  # noqa: PLC0415

    text = document(question.problem, "pq")
    return f"{text.solution.strip()}{text.answer}"


@pytest.mark.parametrize("modulus", [5, 23])
def test_a_model_that_knows_all_gets_100_percent_and_one_that_knows_nothing_0(tmp_path, modulus):
    parameters = {"ops": "2-5", "modulus": modulus, "style": "steps", "n": 20, "shots": 2}
    right, log = asked(tmp_path, solution_of, **parameters)
    assert set(right) == set(SCORERS)
    assert [right[name]["value"] for name in SCORERS[:2]] == [1.0, 1.0]
    assert 0.8 < right["fully_correct"]["low"] < 1 == right["fully_correct"]["high"]
    assert {f"op_{op}": 1.0 for op in range(2, 6)}.items() <= right["right_answer"].items()
    assert right["first_error"] == {"none": 1.0}
    assert right["unnecessary_parameters"]["value"] == 0
    assert len(log.samples) == 20
    assert [message.role for message in log.samples[0].input] == ["system", "user", "assistant", "user", "assistant", "user"]
    wrong, _ = asked(tmp_path, lambda question: "I do not know.", **parameters)
    assert [wrong[name]["value"] for name in SCORERS[:2]] == [0.0, 0.0]
    assert wrong["first_error"] == {"parse": 1.0}
    assert 0 == wrong["fully_correct"]["low"] < wrong["fully_correct"]["high"] < 0.2


def test_the_right_answer_after_wrong_steps_counts_once(tmp_path):
    found, _ = asked(tmp_path, lambda question: f"Nonsense. The answer is {question.answer}.", ops="3", style="steps", n=8, shots=0)
    assert found["right_answer"]["value"] == 1.0
    assert found["fully_correct"]["value"] == 0.0


def test_answers_alone_are_judged_by_their_last_number(tmp_path):
    def say(question):
        wrong = (int(question.answer) + 1) % 5
        return f"First {wrong}, then **{question.answer}**." if question.number % 5 else f"{question.answer} or {wrong}"

    found, _ = asked(tmp_path, say, ops="2-3", style="answer", n=10)
    assert list(found) == ["right_answer"]
    assert found["right_answer"]["value"] == 0.8


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The base address of a server of the published model."""
    port = free_port()
    command = [sys.executable, "-m", "igsm_pipeline.llm.server", str(SMALL), "--port", str(port)]
    found, log = f"http://127.0.0.1:{port}/v1", tmp_path_factory.mktemp("server") / "log"
    with served(command, f"{found}/models", log):
        yield found


def test_a_served_model_is_as_good_as_in_its_own_evaluation(address, tmp_path):
    number, name = int(os.environ.get("IGSM_INSPECT_NUMBER", "64")), "op<=max"
    parameters = {"n": number, "ops": name, "style": "steps", "shots": "0", "instructions": "false", "published": str(SMALL)}
    command = [str(Path(sys.executable).with_name("inspect")), "eval", "igsm_pipeline/igsm", "--model", "openai-api/local/small", "--display", "none"]
    for key, value in parameters.items():
        command += ["-T", f"{key}={value}"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"LOCAL_API_KEY": "no-secret-at-all", "LOCAL_BASE_URL": address}
    subprocess.run([*command, "--log-dir", str(tmp_path), "--max-connections", "64"], env=environment, check=True, timeout=1800)
    (file,) = tmp_path.glob("*.eval")
    log = inspect_ai.log.read_eval_log(str(file))
    assert log.status == "success"
    assert b"no-secret-at-all" not in file.read_bytes()
    table = pq.read_table(SMALL / "results/verdicts.parquet").to_pylist()
    own = {row["problem"]: row for row in table if row["slice"] == name and row["beams"] == 1}
    for scorer, column in (("right_answer", "final_answer_correct"), ("fully_correct", "correct")):
        differ = [one.id for one in log.samples if one.scores[scorer].as_float() != own[one.id][column]]
        assert len(differ) <= 1 + number // 100, differ  # the arithmetic of other batches may tip a tie
    metrics = {score.name: score.metrics for score in log.results.scores}["fully_correct"]
    mean = sum(row["correct"] for row in own.values()) / len(own)
    assert metrics["low"].value <= mean <= metrics["high"].value


def test_the_server_refuses_what_it_cannot_answer(address):
    for body in (b"{}", b"[]", b'{"messages": []}', b'{"messages": [{"role": "user", "content": "What is love?"}]}'):
        request = urllib.request.Request(f"{address}/chat/completions", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 400
