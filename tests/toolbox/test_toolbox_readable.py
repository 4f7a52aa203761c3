"""Problem sets with texts: the coded columns as they are, and texts that say the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from igsm_pipeline.cli import main
from igsm_pipeline.experiments.experiment import find_member
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.problems.files import read_problems
from igsm_pipeline.running.__main__ import main as run
from igsm_pipeline.store import Store
from igsm_pipeline.text import parse_problem, read_solution
from igsm_pipeline.world import load_world

MINE = "evaluation: {num_problems: 5, problems_per_op: 2, monitor_per_op: 2}\nshards: {num_problems: 20}\nprobes: {num_problems: 6}\n"


def exported(*words: str, members: tuple[str, ...] = ("mine",)) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["export", *members, "--readable", *words])
    return int(ended.value.code or 0)


def test_texts_stand_beside_the_arrays_that_they_come_from(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "experiments" / "mine.yaml").write_text(f"base: mini\n{MINE}")
    assert exported("--out", str(tmp_path / "none")) == 2
    assert "no finished problem set" in capsys.readouterr().err
    assert run(["run", "mine", "--stage", "world"]) == run(["run", "mine", "--stage", "problem_sets"]) == 0
    assert exported("--out", str(tmp_path / "out")) == 0
    store, member, world = Store.at_home(), find_member("mine"), load_world("mini")
    unit = find_unit(member, "problem_sets", "op=max")
    (path,) = (tmp_path / "out" / "op=max").iterdir()
    table, coded = pq.read_table(path), pq.read_table(store.path(unit) / path.name)
    assert table.select(coded.column_names).equals(coded)
    batch = read_problems(store.path(unit), world, member.settings.family.modulus)
    for row, problem in zip(table.to_pylist(), batch, strict=True):
        again = read_solution(parse_problem(row["problem"] + row["question"], world, batch.modulus), row["solution"])
        assert [again.name(one) for one in again.order] == row["necessary"] == [problem.name(one) for one in problem.order]
        assert (again.symbols, again.name(again.query)) == (problem.symbols, row["query"])
        assert (row["query"], row["answer"]) == (problem.name(problem.query), f" {problem.values[problem.query]}")
    assert len(list((tmp_path / "out").iterdir())) == len([one for one in (home / "store" / "problem_sets").iterdir() if one.is_dir()])
    assert exported("--out", str(tmp_path / "out")) == 2
    assert "must be a new or empty folder" in capsys.readouterr().err


def test_sets_of_one_name_lie_side_by_side(home: Path, tmp_path: Path) -> None:
    (home / "experiments" / "mine.yaml").write_text(f"base: mini\n{MINE}")
    (home / "experiments" / "other.yaml").write_text("base: mine\nevaluation: {seed: 7}\n")
    members = ("mine", "other")
    for member in members:
        assert run(["run", member, "--stage", "world"]) == run(["run", member, "--stage", "problem_sets"]) == 0
    assert exported("--out", str(tmp_path / "out"), members=members) == 0
    units = [find_unit(find_member(member), "problem_sets", "op=max") for member in members]
    assert units[0].fingerprint != units[1].fingerprint
    assert {path.name for path in (tmp_path / "out").glob("op=max*") if "+" not in path.name} == {"op=max", f"op=max-{units[1].fingerprint}"}
