"""Tables and figure of Inspect's logs hold what the logs say, question by question; a log that is none is refused by name."""

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


def test_tables_say_what_the_log_says(log, tmp_path, capsys):
    from igsm_pipeline.llm.logs import main  # noqa: PLC0415

    main([str(log), "--out", str(tmp_path / "out")])
    rows = pq.read_table(tmp_path / "out/answers.parquet").to_pylist()
    assert [row["question"] for row in rows] == list(range(12))
    assert all(row["right_answer"] for row in rows)
    assert [row["fully_correct"] for row in rows] == [row["op"] == 2 for row in rows]
    assert {row["first_error"] for row in rows} == {None, "parse"}
    shares = {(row["measure"], row["op"]): row for row in pq.read_table(tmp_path / "out/by_op.parquet").to_pylist()}
    assert {key: row["share"] for key, row in shares.items()} == {
        ("right_answer", 2): 1.0,
        ("right_answer", 3): 1.0,
        ("fully_correct", 2): 1.0,
        ("fully_correct", 3): 0.0,
    }
    assert shares["fully_correct", 3]["n"] == 6
    assert 0.3 < shares["fully_correct", 3]["high"] < 0.5
    assert "<svg" in (tmp_path / "out/by_op.svg").read_text()
    assert "figures 2 and 15" in capsys.readouterr().out


def test_what_a_style_does_not_judge_has_no_share():
    from igsm_pipeline.llm.logs import by_op  # noqa: PLC0415

    common = {"model": "m", "style": "answer", "op": 2, "fully_correct": None}
    (row,) = by_op([{**common, "right_answer": True}, {**common, "right_answer": False}])
    assert (row["measure"], row["n"], row["share"]) == ("right_answer", 2, 0.5)


def test_what_is_no_log_is_refused_by_name(tmp_path):
    from igsm_pipeline.errors import BadInput, NotFound  # noqa: PLC0415
    from igsm_pipeline.llm.logs import read_logs  # noqa: PLC0415

    with pytest.raises(NotFound, match=r"none\.eval"):
        read_logs([tmp_path / "none.eval"])
    (tmp_path / "odd.eval").write_text("nothing")
    with pytest.raises(BadInput, match=r"odd\.eval"):
        read_logs([tmp_path / "odd.eval"])
