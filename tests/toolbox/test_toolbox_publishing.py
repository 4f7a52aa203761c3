"""A member becomes one folder that others can use without this package's store, and nothing of anybody is overwritten on the way."""

from __future__ import annotations

import doctest
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard
from reference.tiny_experiment import MEMBER
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import igsm_pipeline as igsm
from igsm_pipeline.cli import main
from igsm_pipeline.errors import BadSettings, NotFound
from igsm_pipeline.experiments.experiment import ExperimentSettings, find_member
from igsm_pipeline.intervals.share import share
from igsm_pipeline.notebook.member import MemberMind
from igsm_pipeline.notebook.published import PublishedMind
from igsm_pipeline.probes.settings import Arm
from igsm_pipeline.probes.stage import CURVE, METRICS, SELECTION
from igsm_pipeline.probes.v_probe import predict
from igsm_pipeline.queries.documents import GoldDocuments
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.sequences import QueryTokens
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.reports.findings import Row
from igsm_pipeline.store import Store, hash_file
from igsm_pipeline.tokens import build_table
from igsm_pipeline.toolbox.model_card import Facts, card_text, results_card
from igsm_pipeline.toolbox.published import FORMAT, KIND, PROVENANCE, TRAINED_AS, is_published, read_published, trained_before
from igsm_pipeline.toolbox.publishing import check_out, check_owner, gather_table, provenance_of, publish
from igsm_pipeline.verification.stage import VERDICTS

SMALL = Path(__file__).parents[2] / "data" / "published" / "small"
"""Where this repository keeps a published member, once there is one."""


def verdict(part: str, op: int, correct: bool, beams: int = 1) -> Row:
    extra = {"final_answer_correct": correct or op < 4, "finished": True, "unnecessary_operations": 0, "unnecessary_parameters": 0, "error": None}
    return {"slice": part, "beams": beams, "op": op, "correct": correct, **extra}


def metric(task: str, probe: str, balanced: float, gain: float | None = None) -> Row:
    row = {"task": task, "probe": probe, "slice": "op=max", "subset": "all", "op": None, "chosen": None, "n": 900, "num_problems": 80}
    scores = {"balanced_accuracy": balanced, "balanced_accuracy_gain": gain}
    ends = {f"{name}_{end}": None if value is None else value + by for name, value in scores.items() for end, by in (("low", -0.01), ("high", 0.01))}
    return {**row, **scores, **ends}


def made_up(**changes: object) -> Facts:
    verdicts = [verdict("op<=max", 1 + number % 3, number % 4 > 0) for number in range(40)] + [verdict("op=max+1", 4, False)] * 5
    facts = Facts(
        name="mine.s0",
        title="a made-up member",
        settings=json.loads(json.dumps(ExperimentSettings.parse({"family": {"op_max": 3, "modulus": 5}}, "test").canonical())),
        world="mini (0123)",
        parameters=12345,
        counts={"steps": 7, "tokens": 999, "loss": 0.5},
        seconds={"checkpoint": 61.0},
        made_with={"published with": "igsm_pipeline 9, commit abc"},
        problem=" How many?",
        end="<|endoftext|>",
        verdicts=verdicts,
        scores=[metric("nece", "v_probe", 0.9, 0.25), metric("nece", "random", 0.65), metric("dep", "v_probe", 0.5, 0.0)],
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def test_the_hub_reads_the_accuracies_and_their_intervals_from_the_card() -> None:
    card = ModelCard(card_text(made_up()))
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("mit", "transformers", "mine.s0")
    first, second = card.data.eval_results
    right = share(30, 40)
    assert (first.dataset_name, first.metric_type, first.metric_value) == ("iGSM op<=max", "accuracy", 0.75)
    assert first.metric_args == {"n": 40, "low_95": round(right.low, 6), "high_95": round(right.high, 6)}
    assert (second.dataset_name, second.metric_value, second.metric_args["n"]) == ("iGSM op=max+1", 0.0, 5)


def test_the_card_states_every_accuracy_with_n_and_interval_and_every_probe_with_its_gain() -> None:
    text = card_text(made_up())
    assert f"| op<=max | 40 | {share(30, 40).percent()} |" in text
    by_op = [row for row in made_up().verdicts if row["op"] == 2]
    assert f"| 2 | 1 | {len(by_op)} | {share(sum(row['correct'] for row in by_op), len(by_op)).percent()} |" in text
    assert "| nece | op=max | 900 | 80 | 90.0 (89.0 to 91.0) | 65.0 (64.0 to 66.0) | - | - | 25.0 (24.0 to 26.0) |" in text
    assert "| dep | op=max | 900 | 80 | 50.0 (49.0 to 51.0) | - | - | - | 0.0 (-1.0 to 1.0) |" in text
    for said in ("12,345 parameters", "**one** training, with seed 0", "problem = ' How many?'", "arXiv:2407.20311", "| training.seed | 0 |", "61.0"):
        assert said in text
    assert "None" not in text
    assert "\n\n\n" not in text


def test_what_is_not_there_is_not_in_the_card_but_in_its_list_of_what_is_missing() -> None:
    text = card_text(made_up(scores=[], missing=["v_probes nece trained: never computed"]))
    assert "What its states hold" not in text
    assert "## What is missing" in text
    assert "- v_probes nece trained: never computed" in text
    assert "What is missing" not in card_text(made_up())


def test_the_card_says_that_a_model_was_trained_on_drills() -> None:
    plain = made_up()
    assert "drills" not in card_text(plain)
    shards = {**plain.settings["shards"], "drills": {"share": 0.1, "lead": 0, "seed": 0}}
    assert "it was trained on drills, solutions without a problem" in card_text(made_up(settings={**plain.settings, "shards": shards}))


def test_a_model_from_elsewhere_is_not_said_to_be_ours() -> None:
    settings = {**made_up().settings, "model": {"checkpoint": "0" * 64}}
    text = card_text(made_up(settings=settings))
    assert ModelCard(text).data.license == "other"
    assert "was not trained here" in text
    assert "with seed" not in text


def test_a_model_that_was_published_before_is_said_to_be_trained_as_it_was(home: Path, tmp_path: Path) -> None:
    folder, own = tmp_path / "published", made_up().settings
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    unit = {"seconds": 61.0, "counts": {"steps": 7, "tokens": 999}}
    said = {"kind": KIND, "format": FORMAT, "member": "first", "settings": own, "units": {"checkpoint/checkpoint": unit}, "made_on": [{"torch": "9"}]}
    said |= {"published_with": {"commit": "abcdef0123456"}, "files": {"model.safetensors": {"sha256": hash_file(folder / "model.safetensors")}}}
    (folder / PROVENANCE).write_text(json.dumps(said))
    (home / "experiments" / "again.yaml").write_text(f"base: mini\nmodel: {{path: {folder}}}\n")
    again = find_member("again")
    before = provenance_of(again, Store.at_home(), [])[TRAINED_AS]
    assert (before["member"], before["counts"]["tokens"], before["settings"]["training"]) == ("first", 999, own["training"])
    foreign = {**own, "model": {"checkpoint": "0" * 64}}
    text = card_text(made_up(settings=foreign, counts={"parameters": 12345}, trained_as=before))
    assert ModelCard(text).data.license == "mit"
    for told in ("published as first (commit abcdef0123), trained in 61.0 s", "a GPT-2 with rotary positions", "| tokens | 999 |", "with seed 0"):
        assert told in text
    (folder / PROVENANCE).write_text(json.dumps({**said, "settings": foreign}))
    assert trained_before(folder) is None, "nothing is known of where it came from"
    (folder / PROVENANCE).write_text(json.dumps({**said, "settings": foreign, TRAINED_AS: before}))
    assert trained_before(folder) == before, "however often it is published"
    (folder / "model.safetensors").write_bytes(b"others!")
    assert trained_before(folder) is None, "these are not the weights that were published"
    assert TRAINED_AS not in provenance_of(find_member("again"), Store.at_home(), [])


def test_the_card_of_the_tables_names_files_columns_and_meanings() -> None:
    text = results_card(made_up(), [(VERDICTS, ["slice", "beams", "correct"], 45)])
    assert DatasetCard(text).data.to_dict()["configs"] == [{"config_name": "verdicts", "data_files": "verdicts.parquet"}]
    assert "| `correct` | every step is right, and so is the answer |" in text
    assert "45 rows" in text


def test_a_gathered_table_has_the_declared_columns_under_the_members_own_names(tmp_path: Path) -> None:
    folders = [tmp_path / "slice=strange" / name for name in ("a", "b")]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        pq.write_table(
            pa.table({"task": ["nece"], "n": [number], "slice": ["as another experiment calls it"], "own": [1]}), folder / "metrics.parquet"
        )
    table = gather_table(METRICS, [({"slice": part}, folder) for part, folder in zip(("op=max", "op=max+1"), folders, strict=True)])
    assert table is not None
    assert table.to_pylist() == [{"slice": "op=max", "task": "nece", "n": 0}, {"slice": "op=max+1", "task": "nece", "n": 1}]
    pq.write_table(pa.table({"task": ["dep"], "layer": [2]}), folders[0] / "selection.parquet")
    chosen = gather_table(SELECTION, [({"arm": "random"}, folders[0])])
    assert chosen is not None
    assert chosen.to_pylist() == [{"model": "random", "task": "dep", "layer": 2}]
    assert gather_table(VERDICTS, [({"slice": "op=max", "beams": 1}, folders[0])]) is None
    for folder in folders:
        pq.write_table(pa.table({"step": [4], "n": [9]}), folder / "curve.parquet")
    of_arms = {"task": "nece", "arm": "trained"}
    curves = gather_table(CURVE, [(of_arms, folders[0]), ({**of_arms, "layer": 2}, folders[1])])
    assert curves is not None
    assert [(row["task"], row["model"], row["layer"]) for row in curves.to_pylist()] == [("nece", "trained", None), ("nece", "trained", 2)]


def test_a_place_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / PROVENANCE).write_text('{"stage": "checkpoint"}')
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "unit", "link"):
        with pytest.raises(BadSettings, match="--out must be a folder that does not exist yet, or one that was published before"):
            check_out(tmp_path / name)
    with pytest.raises(BadSettings, match="--out must lie where folders can be made"):
        check_out(tmp_path / "file" / "below")
    check_out(tmp_path / "new" / "and" / "below")
    (tmp_path / "folder" / PROVENANCE).write_text(json.dumps({"kind": KIND}))
    check_out(tmp_path / "folder")


def test_what_another_member_has_published_is_not_replaced(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    shutil.copytree(SMALL, out)
    with pytest.raises(BadSettings, match=r"--out must be a new folder, or one of mine, got '.*model, which holds small"):
        publish(find_member("mine"), Store.at_home(), out)
    assert read_published(out).provenance == read_published(SMALL).provenance
    check_owner(find_member("mine"), tmp_path / "new")
    check_owner(find_member(str(read_published(SMALL).provenance["member"])), out)
    (home / "experiments" / "again.yaml").write_text(f"base: small\nmodel: {{path: {out}}}\n")
    check_owner(find_member("again"), out)


def test_a_member_without_a_model_is_refused_and_nothing_is_written(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match=r"no finished checkpoint of mine to publish: .*`igsm run mine --stage checkpoint`"):
        publish(find_member("mine"), Store.at_home(), tmp_path / "out")
    with pytest.raises(SystemExit) as ended:
        main(["publish", "mini_depth", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert "must be one member" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def folder(tiny_home: Path, tmp_path: Path) -> Path:
    """The tiny member, published."""
    out = tmp_path / "published" / "tiny"
    assert publish(find_member(MEMBER), Store.at_home(), out).missing == ()
    return out


def tables_match(mind: PublishedMind, member: MemberMind) -> None:
    """What is published is what the store holds."""
    assert mind.verdicts().drop("beams").equals(member.verdicts().drop("beams"))
    assert mind.scores().select("task", "probe", "n", "balanced_accuracy").equals(member.scores().select("task", "probe", "n", "balanced_accuracy"))
    assert mind.table("error_correlation").equals(member.correlation)
    for part in member.slices:
        assert np.array_equal(mind.batch(part).records, member.batch(part).records)


@pytest.mark.slow
def test_a_published_member_needs_no_store_and_says_what_the_store_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    member, mind = igsm.open(MEMBER), igsm.open(folder)
    assert isinstance(member, MemberMind)
    assert isinstance(mind, PublishedMind)
    tables_match(mind, member)
    few = member.batch("op<=max").take(slice(0, 3))
    for task in ALL_TASKS:
        for arm in ("trained", "random"):
            ours, theirs = (each.probe(task, arm=arm).ask(few) for each in (mind, member))  # type: ignore[arg-type]
            assert ours.equals(theirs)
            assert len(load_file(folder / "probes" / f"{task}-{arm}" / "probe.safetensors")) == 4
    said = read_published(folder).provenance
    assert said["units"]["checkpoint/checkpoint"]["fingerprint"] == member.checkpoint.name
    assert all(hash_file(folder / name) == entry["sha256"] for name, entry in said["files"].items())
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {*said["files"], PROVENANCE}
    right = member.solve(few[0], max_length=160)
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "empty"))
    assert mind.solve(few[0], max_length=160) == right
    with pytest.raises(SystemExit) as ended:
        main(["solve", "--model", str(folder), "--seed", "3"])
    assert ended.value.code in (0, 1)
    assert "solution by" in capsys.readouterr().out


@pytest.mark.slow
def test_the_code_of_the_card_runs_with_transformers_alone(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plain, ours = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    assert "igsm" not in plain
    monkeypatch.chdir(folder)
    named: dict[str, object] = {}
    exec(compile(plain, "card", "exec"), named)
    mind = igsm.open(folder)
    assert isinstance(mind, PublishedMind)
    problem = igsm.parse_problem(str(named["problem"]), mind.world, mind.family.modulus)
    assert capsys.readouterr().out.startswith(mind.solve(problem, max_length=160).written.solution[:40])
    exec(compile(ours, "card", "exec"), {})
    assert "Verdict(" in capsys.readouterr().out


@pytest.mark.slow
def test_an_unfinished_member_is_published_with_a_list_of_what_it_lacks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mind = igsm.open(MEMBER)
    assert isinstance(mind, MemberMind)
    for path in (mind.report, mind.folder("v_probes", "nece trained") / "probe.json"):
        path.unlink()
    (folder / "probes" / "notes.txt").write_text("of somebody else")
    with pytest.raises(SystemExit) as ended:
        main(["publish", MEMBER, "--out", str(folder)])
    out, err = capsys.readouterr()
    assert ended.value.code == 0
    assert str(folder) in out
    assert "missing: v_probes nece trained: file probe.json is missing" in err
    assert f"`igsm run {MEMBER}`" in err
    assert "- v_probes nece trained: file probe.json is missing" in (folder / "README.md").read_text()
    assert not (folder / "report.html").exists()
    assert not (folder / "probes" / "nece-trained").exists()
    assert (folder / "probes" / "notes.txt").read_text() == "of somebody else"
    opened = igsm.open(folder)
    assert isinstance(opened, PublishedMind)
    with pytest.raises(NotFound, match=r"no probe 'nece-trained' was published.*known-trained"):
        opened.probe("nece")
    assert opened.probe("known").network.num_classes == 2
    (mind.checkpoint / "model.safetensors").unlink()
    with pytest.raises(NotFound, match="no finished checkpoint"):
        publish(find_member(MEMBER), Store.at_home(), tmp_path / "other")


def published_small() -> PublishedMind:
    if not is_published(SMALL):
        pytest.skip("no member is published in this checkout")
    mind = igsm.open(SMALL)
    assert isinstance(mind, PublishedMind)
    return mind


def solved_by_transformers(mind: PublishedMind, part: str, first: int) -> list[bool]:
    """Which problems the model solves, with nothing but transformers between the folder and the texts."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(mind.checkpoint), AutoTokenizer.from_pretrained(mind.checkpoint)
    correct = []
    for problem in mind.batch(part).take(slice(first)):
        text = igsm.document(problem, mind.format).prompt
        asked = tokenizer(f"{text}<|solution|>", return_tensors="pt")
        written = model.generate(**asked)[0, asked["input_ids"].shape[1] :]
        solution, _, answer = tokenizer.decode(written, clean_up_tokenization_spaces=False).removesuffix("<|endoftext|>").partition("<|answer|>")
        correct.append(igsm.verify(problem, solution, answer).correct)
    return correct


def balanced_accuracy_again(mind: PublishedMind, part: str, task: TaskName, arm: Arm) -> tuple[int, float]:
    """Queries of a slice, drawn anew and asked anew: how many, and the mean recall over the labels that occur."""
    published, probe = mind.published, mind.probe(task, arm=arm)
    how = published.probes
    asked = QuerySettings(
        family=mind.family, task=task, candidates=how.candidates, per_problem=how.per_problem, seed=how.seed, stream=f"queries {part}"
    )
    problems = mind.batch(part).take(slice(how.slice_problems))
    queries = pa.concat_tables(draw_queries(problems, asked))
    table = build_table(mind.world, mind.family.modulus, published.tokens, mind.checkpoint)
    tokens = QueryTokens(problems, queries, GoldDocuments(problems, table, mind.format), table)
    said, _ = predict(probe.network, probe.model, tokens, device=probe.device, max_tokens=16384)
    label = queries["label"].to_numpy()
    return len(label), float(np.mean([(said[label == one] == one).mean() for one in np.unique(label)]))


def probes_say_what_is_stated(mind: PublishedMind, part: str) -> None:
    for task in mind.published.probes.tasks:
        for arm, name in (("trained", "v_probe"), ("random", "random")):
            stated = mind.scores(part, task).filter(pl.col("op").is_null(), probe=name, subset="all").row(0, named=True)
            number, again = balanced_accuracy_again(mind, part, task, arm)  # type: ignore[arg-type]
            assert number == stated["n"]
            assert again == pytest.approx(stated["balanced_accuracy"], abs=0.005), (task, arm)


@pytest.mark.slow
def test_slices_drawn_anew_are_solved_and_read_as_the_tables_say(folder: Path) -> None:
    mind = igsm.open(folder)
    assert isinstance(mind, PublishedMind)
    assert solved_by_transformers(mind, "op=max", 3) == mind.verdicts("op=max")["correct"].to_list()[:3]
    probes_say_what_is_stated(mind, "op<=max")


@pytest.mark.slow
def test_the_published_model_solves_as_many_problems_as_its_card_says() -> None:
    mind = published_small()
    stated = mind.verdicts("op<=max", beams=1)["correct"]
    correct = solved_by_transformers(mind, "op<=max", 200)
    again = share(sum(correct), len(correct))
    assert again.low <= share(int(stated.sum()), len(stated)).value <= again.high
    assert sum(one != two for one, two in zip(correct, stated.to_list(), strict=False)) <= 2, "the same problems, the same verdicts"


@pytest.mark.slow
def test_the_published_probes_read_what_the_card_says() -> None:
    probes_say_what_is_stated(published_small(), "op<=max")


@pytest.mark.slow
def test_examples_of_a_published_mind_say_what_happens(folder: Path) -> None:
    runner, mind = doctest.DocTestRunner(), igsm.open(folder)
    for example in doctest.DocTestFinder().find(PublishedMind, "PublishedMind", globs={"published": mind}):
        runner.run(example)
    assert runner.summarize(verbose=False) == doctest.TestResults(failed=0, attempted=runner.tries)
    assert runner.tries >= len([name for name in vars(PublishedMind) if not name.startswith("_")])
