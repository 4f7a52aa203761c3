"""Inspect's own logs, read without it, say what Inspect's reader says, and become tables and figures."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

inspect_ai = pytest.importorskip("inspect_ai", reason="comes with the extra llm")
pytestmark = pytest.mark.slow


@pytest.fixture
def log(tmp_path) -> Path:
    """The log of a model that is right on every question of two operations, and on no other."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: PLC0415

    from igsm_pipeline.llm.prompts import plan_exam, questions  # noqa: PLC0415
    from igsm_pipeline.llm.task import igsm  # noqa: PLC0415
    from igsm_pipeline.text import document  # noqa: PLC0415

    parameters = {"ops": "2-3", "style": "steps", "n": 12, "shots": 0}
    by_text = {one.text: one for one in questions(plan_exam(**parameters))}

    def say(messages, tools, tool_choice, config):
        question = by_text[messages[-1].text]
        text = document(question.problem, "pq")
        output = ModelOutput.from_content("mock", text.solution + text.answer if question.op == 2 else f"It is {question.answer}")
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    model = get_model("mockllm/model", custom_outputs=say, memoize=False)
    inspect_ai.eval(igsm(**parameters), model=model, log_dir=str(tmp_path / "logs"), display="none")
    (path,) = (tmp_path / "logs").glob("*.eval")
    return path


def test_our_reader_reads_what_inspects_own_reader_reads(log):
    from inspect_ai.log import read_eval_log, write_eval_log  # noqa: PLC0415

    from igsm_pipeline.evaluations.logs import answers, read_log  # noqa: PLC0415

    theirs = read_eval_log(str(log))
    write_eval_log(theirs, str(log.with_name("2026-01-01T00-00-00_igsm.json")), format="json")
    wanted = [(sample.id, sample.metadata["op"], {name: score.value for name, score in sample.scores.items()}) for sample in theirs.samples]
    for path in (log, log.with_name("2026-01-01T00-00-00_igsm.json")):
        rows = sorted(answers(read_log(path)), key=lambda row: row["question"])
        assert [(row["question"], row["op"]) for row in rows] == [(number, op) for number, op, _ in wanted]
        for row, (_, _, scores) in zip(rows, wanted, strict=True):
            assert (row["run"], row["model"], row["style"], row["shots"], row["modulus"]) == (theirs.eval.eval_id, "mockllm/model", "steps", 0, 5)
            assert (row["right_answer"], row["fully_correct"]) == (scores["right_answer"] == 1, scores["fully_correct"] == 1)
            assert row["first_error"] == (None if scores["first_error"] == "none" else scores["first_error"])
            assert row["unnecessary_parameters"] == scores["unnecessary_parameters"]


def test_an_experiment_turns_the_folder_of_logs_into_tables_and_a_command_into_figures(log, tmp_path, monkeypatch, capsys):
    from reference.few_problems import few_problems, write_few  # noqa: PLC0415

    from igsm_pipeline.experiments import find_member  # noqa: PLC0415
    from igsm_pipeline.llm.logs import main  # noqa: PLC0415
    from igsm_pipeline.planning.planner import find_unit  # noqa: PLC0415
    from igsm_pipeline.running.runner import run_units  # noqa: PLC0415
    from igsm_pipeline.store import Store  # noqa: PLC0415

    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    write_few(tmp_path, few_problems(8) | {"llm_evaluations": {"logs": str(log.parent)}})
    member, store = find_member("few"), Store.at_home()
    run_units(member, "llm_evaluations", store)
    unit = store.path(find_unit(member, "llm_evaluations", "llm_evaluations"))
    rows = pq.read_table(unit / "answers.parquet").to_pylist()
    assert [row["question"] for row in rows] == list(range(12))
    assert all(row["right_answer"] for row in rows)
    assert [row["fully_correct"] for row in rows] == [row["op"] == 2 for row in rows]
    assert {row["first_error"] for row in rows} == {None, "parse"}
    shares = {(row["measure"], row["op"]): row for row in pq.read_table(unit / "by_op.parquet").to_pylist()}
    assert {key: row["share"] for key, row in shares.items()} == {
        ("right_answer", None): 1.0, ("right_answer", 2): 1.0, ("right_answer", 3): 1.0,
        ("fully_correct", None): 0.5, ("fully_correct", 2): 1.0, ("fully_correct", 3): 0.0,
    }  # fmt: skip
    assert shares["fully_correct", 3]["n"] == 6
    assert 0.3 < shares["fully_correct", 3]["share_high"] < 0.5
    main([str(log), "--out", str(tmp_path / "out")])
    for name in ("answers.parquet", "by_op.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (unit / name).read_bytes()
    assert "<svg" in (tmp_path / "out/fully_correct.svg").read_text()
    assert "figures 2 and 15" in capsys.readouterr().out
