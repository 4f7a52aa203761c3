"""The alias champion moves only beyond doubt, on one test set; what it names loads, and solves a problem in the terminal."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.defs.graph.executors import RAY_ADDRESS
from igsm_pipeline.defs.tracking.notes import judged_unit, lacks_registration, registration_note
from igsm_pipeline.defs.tracking.registry import Score, judge, register
from igsm_pipeline.errors import NotFound
from igsm_pipeline.experiments import find_member
from igsm_pipeline.intervals.interval import Interval
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import Plan, plan
from igsm_pipeline.store import Freshness, Store
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.toolbox.solver import find_solver

OLD = Score("set-a", Interval(0.70, 0.67, 0.73, 1000))


def champion(score: Score | None) -> SimpleNamespace:
    return SimpleNamespace(version="3", tags=score.tags() if score is not None else {})


@pytest.mark.parametrize(
    ("new", "wins", "why"),
    [
        (Score("set-a", Interval(0.78, 0.75, 0.81, 1000)), True, "better than version 3 beyond doubt"),
        (Score("set-a", Interval(0.74, 0.71, 0.77, 1000)), False, "not better than version 3 beyond doubt"),
        (Score("set-a", Interval(0.60, 0.57, 0.63, 1000)), False, "not better"),
        (Score("set-a", Interval(0.76, 0.73, 0.79, 1000)), False, "not better"),
        (Score("set-b", Interval(0.99, 0.98, 1.00, 1000)), False, "another test set"),
    ],
)
def test_a_champion_gives_way_only_to_a_better_one_beyond_doubt_on_its_own_test_set(new: Score, wins: bool, why: str) -> None:
    found = judge(new, champion(OLD))
    assert found[0] is wins
    assert why in found[1]


def test_the_first_version_and_one_beside_an_unmeasured_champion_win() -> None:
    assert judge(OLD, None) == (True, "first of its experiment")
    assert judge(OLD, champion(None)) == (True, "version 3 was never measured")


def test_a_score_survives_its_tags() -> None:
    assert Score.of_tags({**OLD.tags(), "other": "x"}) == OLD


def verdict(row: int, correct: bool) -> dict[str, object]:
    """An invented verdict: ops 1 and 2 in turn, every mistake a wrong value."""
    return {
        "op": 1 + row % 2, "correct": correct, "error": None if correct else "wrong_value", "final_answer_correct": correct, "finished": True,
        "unnecessary_operations": 0, "unnecessary_parameters": 0,
    }  # fmt: skip


def finish(store: Store, key: str, correct: int, n: int = 40) -> None:
    """Real world and (untrained) model, invented verdicts: ``correct`` of ``n`` right."""
    from igsm_pipeline.model import gpt2_rotary  # noqa: PLC0415
    from igsm_pipeline.running.runner import compute  # noqa: PLC0415
    from igsm_pipeline.tokens import build_table  # noqa: PLC0415
    from igsm_pipeline.world import load_world  # noqa: PLC0415

    member = find_member(key)
    settings = member.settings
    for unit in units_of(member):
        if unit.stage not in ("world", "problem_sets", "token_shards", "checkpoint", "generations", "verdicts") or store.check(unit).fresh:
            continue
        with store.write(unit) as writing:
            if unit.stage == "world":
                compute(unit, {}, writing)
            elif unit.stage == "checkpoint":
                table = build_table(load_world("mini"), settings.family.modulus, settings.tokens)
                gpt2_rotary.save(
                    gpt2_rotary.build(settings.model, table.size, 2048, settings.training.seed, bos=table.bos, eos=table.eos), writing.folder
                )
                save_tokenizer(table, writing.folder)
                writing.counts["tokens"] = 7
            elif unit.stage == "verdicts":
                pq.write_table(pa.Table.from_pylist([verdict(row, row < correct) for row in range(n)]), writing.folder / "verdicts.parquet")
            else:
                (writing.folder / "a.bin").write_text(unit.fingerprint)


def test_a_member_that_is_not_asked_op_max_is_not_registered_and_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from igsm_pipeline.defs.graph.results import not_registered  # noqa: PLC0415
    from igsm_pipeline.defs.tracking.runs import Tracking  # noqa: PLC0415

    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text(
        'base: mini\nevaluation: {slices: ["op=max"]}\nprobes: {tasks: []}\ninterchange: {pairs: 0}\n'
    )
    assert register(Tracking(), "mine") is None
    assert not lacks_registration(plan(find_member("mine"), Store.at_home())), "or every run would ask Dagster again"
    assert not (tmp_path / "mlflow").exists()
    assert not_registered().metadata["registered model"] == "none"


def test_a_fresh_member_is_given_to_dagster_until_it_is_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from igsm_pipeline.cli import main  # noqa: PLC0415

    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text("base: mini\nprobes: {tasks: []}\n")
    member = find_member("mine")
    units = tuple(units_of(member))
    fresh = Plan(member, units, (Freshness(()),) * len(units))
    ran: list[list[str]] = []
    monkeypatch.setattr("igsm_pipeline.cli.members.plans_of", lambda *_, **__: [fresh])
    monkeypatch.setattr("igsm_pipeline.cli.members.print_plan", lambda *_, **__: None)
    monkeypatch.setattr("igsm_pipeline.toolbox.headline.headline", lambda *_: [])
    monkeypatch.setattr("igsm_pipeline.defs.operating.launch.run_members", lambda keys, *_, **__: ran.append(keys) or 0)

    def run(*arguments: str) -> list[list[str]]:
        ran.clear()
        with pytest.raises(SystemExit) as ended:
            main(("run", "mine", *arguments))
        assert not ended.value.code
        return list(ran)

    monkeypatch.setenv(RAY_ADDRESS, "http://127.0.0.1:1")
    assert run() == [["mine"]], "a cluster that is not there is not asked, since nothing is computed"
    assert RAY_ADDRESS not in os.environ, "nor by the steps, which read the environment"
    assert run("--stage", "checkpoint") == [], "one stage registers nothing"
    judged, checkpoint = judged_unit(units), next(unit for unit in units if unit.stage == "checkpoint")
    assert judged is not None
    note = registration_note("mine", checkpoint, judged)
    note.parent.mkdir(parents=True)
    note.touch()
    assert run() == []


@pytest.mark.slow
def test_versions_compete_and_the_champion_loads_and_solves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    from igsm_pipeline.cli import main  # noqa: PLC0415
    from igsm_pipeline.defs.tracking.runs import Tracking  # noqa: PLC0415

    home = tmp_path / "first"
    monkeypatch.setenv("IGSM_HOME", str(home))
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / "mine.yaml").write_text(
        "base: mini\nmodel: {layers: 1, heads: 2, head_width: 16, partial_rotary_factor: 0.5}\n"
        "probes: {tasks: []}\ngrid: {training.seed: {s0: 0, s1: 1, s2: 2}}\n"
    )
    store, tracking = Store.at_home(), Tracking()
    warned: list[str] = []
    monkeypatch.setattr(logging.getLogger("mlflow.transformers"), "warning", lambda text, *_: warned.append(text))
    found = []
    for key, correct in (("mine.s0", 10), ("mine.s1", 14), ("mine.s2", 36)):
        finish(store, key, correct)
        member = find_member(key)
        assert lacks_registration(plan(member, store))
        found.append(register(tracking, key))
        assert not lacks_registration(plan(member, store))
    assert [(one.name, one.version, one.champion) for one in found] == [
        ("gpt2-rotary-mine", "1", True),
        ("gpt2-rotary-mine", "2", False),
        ("gpt2-rotary-mine", "3", True),
    ]
    assert not warned, "the model brings its card and its licence; no hub is asked"
    again = [register(tracking, key) for key in ("mine.s0", "mine.s1")]
    assert [(one.version, one.hit, one.champion) for one in again] == [("1", True, False), ("2", True, False)], "s2 has taken the alias since"
    client = tracking.client()
    version = client.get_model_version_by_alias("gpt2-rotary-mine", "champion")
    assert str(version.version) == "3"
    assert version.tags["igsm.fingerprint"] == found[2].fingerprint
    assert {"igsm.git_revision", "igsm.tokens", "igsm.member"} <= version.tags.keys()

    import mlflow  # noqa: PLC0415

    mlflow.set_experiment(tracking.experiment)
    accuracy = mlflow.load_table("verdicts/accuracy-version-3.json", [found[2].run_id]).set_index(["slice", "beams", "op"])
    assert accuracy.loc[("op<=max", 1, "all")][["n", "accuracy", "final_answer", "unfinished"]].tolist() == [40, 0.9, 0.9, 0.0]
    assert accuracy.loc[("by_op", 1, "2")][["n", "accuracy"]].tolist() == [20, 0.9]
    assert (accuracy["low"] < accuracy["accuracy"]).all()
    assert (accuracy["accuracy"] < accuracy["high"]).all()
    errors = mlflow.load_table("verdicts/errors-version-3.json", [found[2].run_id])
    assert errors[errors["slice"] == "op<=max"][["error", "solutions"]].values.tolist() == [["wrong_value", 4]]

    uri = "models:/gpt2-rotary-mine@champion"
    loaded = mlflow.transformers.load_model(uri, return_type="components")["model"].state_dict()
    (folder,) = [store.path(unit) for unit in units_of(find_member("mine.s2")) if unit.stage == "checkpoint"]
    plain = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    assert all((loaded[name] == plain[name]).all() for name in plain)

    text = (home / "experiments" / "mine.yaml").read_text()
    (home / "experiments" / "yours.yaml").write_text(text.partition("grid:")[0])
    yours = register(tracking, "yours")
    assert (yours.name, yours.version, yours.champion, yours.hit) == ("gpt2-rotary-yours", "1", True, False), "it has the checkpoint of mine.s0"
    assert register(tracking, "mine.s0").name == "gpt2-rotary-mine"

    whole = bytearray((folder / "model.safetensors").read_bytes())
    whole[-1] ^= 1
    (folder / "model.safetensors").write_bytes(whole)
    with pytest.raises(NotFound, match=r"no checkpoint of mine\.s2 to ask \(.*altered"):
        find_solver("mine.s2")
    whole[-1] ^= 1
    (folder / "model.safetensors").write_bytes(whole)
    alone = tmp_path / "alone"
    shutil.copytree(home / "experiments", alone / "experiments")
    shutil.copytree(folder, alone / folder.relative_to(home))
    monkeypatch.setenv("IGSM_HOME", str(alone))
    assert find_solver("mine.s2").name == "mine.s2", "a checkpoint that came without its inputs is asked"
    monkeypatch.setenv("IGSM_HOME", str(home))

    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["solve", "--model", uri, "--op", "2"])
    assert ended.value.code == 1, "an untrained model is wrong"
    assert "wrong: " in capsys.readouterr().out
    from igsm_pipeline.defs.tracking.solver import find_registered  # noqa: PLC0415

    assert find_registered(uri).family == find_member("mine.s2").settings.family
    with pytest.raises(NotFound, match="registered are gpt2-rotary-mine"):
        find_registered("models:/gpt2-rotary-nobody@champion")
    with pytest.raises(NotFound, match="models:/NAME@ALIAS"):
        find_registered("models:/gpt2")

    (written,) = home.glob(f"mlflow/artifacts/models/{version.source.removeprefix('models:/')}/artifacts/model/config.json")
    assert json.loads(written.read_text())["rotary_pct"] == 0.5
    (card,) = written.parents[1].glob("model_card.md")
    assert "90.0" in card.read_text()
    moved = tmp_path / "Lab (x, 2024) \u00fc" / "k: v #2"
    moved.parent.mkdir()
    home.rename(moved)
    monkeypatch.setenv("IGSM_HOME", str(moved))
    again = find_registered(uri)
    assert again.family == find_member("mine.s2").settings.family
    assert all((again.model.state_dict()[name] == plain[name]).all() for name in plain)
    assert mlflow.load_table("verdicts/errors-version-3.json", [found[2].run_id]).columns.tolist() == ["slice", "error", "solutions"]
    assert register(tracking, "mine.s0").hit
    assert not home.exists()

    (moved_folder,) = moved.glob(f"store/*/{folder.name}")
    for working, named in ((moved_folder, "."), (moved_folder.parent, folder.name), (moved_folder.parent, f"./{folder.name}")):
        monkeypatch.chdir(working)
        with pytest.raises(SystemExit) as ended:
            main(["solve", "--model", named, "--op", "2"])
        assert ended.value.code == 1, "an untrained model is wrong"
