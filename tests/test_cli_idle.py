"""An option that would change nothing where it stands is refused by name; at its default it is none; and what two options say together holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from igsm_pipeline.cli import main
from igsm_pipeline.world import load_world

IDLE = {
    "report small --claims --open": ("--open", "with --claims"),
    "generate --tables --vocab gpt2": ("--vocab", "with --tables"),
    "generate --tables --format text": ("--format", "with --tables"),
    "generate --tables --shard-rows 9": ("--shard-rows", "with --tables"),
    "generate --tables --test-num 9": ("--test-num", "with --tables"),
    "generate --tables --retry 0.5": ("--retry", "with --tables"),
    "generate --tables -j 2": ("--jobs", "with --tables"),
    "generate --format text --retry-kind weak": ("--retry-kind", "without --retry"),
    "generate --format messages --vocab compact": ("--vocab", "with --format messages"),
    "generate --lenient": ("--lenient", "without --world FILE"),
    "generate --lenient --world mini": ("--lenient", "without --world FILE"),
    "show --key 0:0 --number 0": ("--number", "with --key"),
    "show --lenient": ("--lenient", "without --world FILE"),
    "solve --column problem=prompt": ("--column", "without FILE"),
    "solve problem.txt --op 3": ("--op", "with FILE"),
    "solve problem.txt --seed 0": ("--seed", "with FILE"),
    "solve problem.txt --lenient": ("--lenient", "without --world FILE"),
    "play mini --page x.html --port 9000": ("--port", "with --page"),
    "verify rows.jsonl --lenient": ("--lenient", "without --world FILE"),
    "gc --checkpoints": ("--checkpoints", "without --yes"),
    "export mini --readable --stage world --out x": ("--stage", "with --readable"),
}


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", IDLE)
def test_an_option_that_would_change_nothing_is_refused_with_what_makes_it_idle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    option, where = IDLE[words]
    assert run(*words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{option} must be left out {where}, where it changes nothing, got '{option}")
    assert list(tmp_path.iterdir()) == []


def test_a_problem_that_is_drawn_under_a_modulus_is_solved_under_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("solve", "--modulus", 2, "--op", 6, "--world", "mini") == 0
    solution = capsys.readouterr().out.splitlines()[1]
    steps = [sentence.rstrip(".").split() for sentence in solution.split(". ")]
    assert {step[-1] for step in steps} <= {"0", "1"}
    assert run("solve", "--modulus", 2000) == 2
    assert "--modulus" in capsys.readouterr().err


def test_a_world_file_is_read_loosely_where_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = load_world("mini").document()
    next(iter(document["hierarchies"][0]["layers"][0]["subcategories"].values()))[0] = "Trader Joe's"
    (tmp_path / "own.json").write_text(json.dumps({"hierarchies": document["hierarchies"]}))
    own = ("--world", "own.json", "--lenient")
    assert run("generate", *own, "--num", 20, "--out", "rows.jsonl") == 0
    assert run("verify", "rows.jsonl", *own) == 0
    assert "20 judged, 0 that could not be" in capsys.readouterr().out
