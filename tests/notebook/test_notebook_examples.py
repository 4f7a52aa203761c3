"""Every example of the notebook classes, run on a finished experiment; and what they read against the files themselves."""

import doctest
import inspect
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from reference.tiny_experiment import MEMBER

import igsm_pipeline as igsm
from igsm_pipeline.errors import BadInput
from igsm_pipeline.notebook.member import MemberMind
from igsm_pipeline.notebook.mind import FolderMind, Mind
from igsm_pipeline.notebook.probe import Probe
from igsm_pipeline.problems.record import ProblemBatch

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"
CLASSES = (MemberMind, FolderMind, Mind, Probe)
FIELDS = {"queries", "tokens", "world", "folder", "model_folder", "device"}


@pytest.fixture
def mind(tiny_home: Path) -> MemberMind:
    opened = igsm.open(MEMBER)
    assert isinstance(opened, MemberMind)
    return opened


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_public_method_has_an_example(one: type) -> None:
    abstract = getattr(one, "__abstractmethods__", frozenset())
    lacking = [
        name
        for name, value in vars(one).items()
        if not name.startswith("_") and name not in abstract and name not in FIELDS | {"name"} and ">>>" not in (inspect.getdoc(value) or "")
    ]
    assert lacking == []


@pytest.mark.slow
@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_examples_of_the_docstrings_say_what_happens(one: type, mind: MemberMind) -> None:
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(one, one.__name__, globs={"igsm": igsm, "mind": mind, "pl": pl}):
        runner.run(example)
    assert runner.summarize(verbose=False) == doctest.TestResults(failed=0, attempted=runner.tries)
    assert runner.tries > 0


@pytest.mark.slow
def test_the_ten_lines_of_the_page_run(mind: MemberMind, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S))
    assert 'igsm.open("mini")' in code
    exec(compile(code.replace('"mini")  # a member', f'"{MEMBER}")'), str(PAGE), "exec"), {})
    assert "Define " in capsys.readouterr().out


@pytest.mark.slow
def test_tables_are_the_files_of_the_store(mind: MemberMind) -> None:
    file = pl.read_parquet(mind.folder("verdicts", "op=max+1 beam 1") / "verdicts.parquet")
    assert mind.verdicts("op=max+1").drop("slice", "beams").equals(file)
    assert mind.verdicts().height == sum(mind.verdicts(part).height for part in mind.slices)
    assert set(mind.verdicts()["slice"]) == set(mind.slices)
    file = pl.read_parquet(mind.folder("probe_scores", "op<=max") / "predictions.parquet")
    assert mind.predictions("op<=max")["prediction"].to_list() == file["prediction"].to_list()
    written = mind.generations("reask")
    assert written["text"].to_list() == pl.read_parquet(mind.folder("generations", "reask beam 1") / "generations.parquet")["text"].to_list()


@pytest.mark.slow
def test_texts_of_a_problem_row_belong_to_the_problem_of_that_row(mind: MemberMind) -> None:
    table, batch = mind.problems("reask"), mind.batch("reask")
    for row in table.iter_rows(named=True):
        text = igsm.document(batch[row["problem"]], "pq")
        assert f" {row['statements']} {row['question']}" == text.prompt
        assert igsm.verify(batch[row["problem"]], " " + row["solution"], row["answer"]).correct
    assert mind.problems("reask", first=3).equals(table.head(3))


@pytest.mark.slow
def test_names_of_queries_are_those_that_the_dense_map_has(mind: MemberMind) -> None:
    drawn = mind.queries("op<=max").select("problem", "parameter", "name").unique()
    mapped = mind.mental_state("op<=max").select("problem", "parameter", pl.col("name").alias("mapped")).unique()
    both = drawn.join(mapped, on=["problem", "parameter"])
    assert both.height > 20
    assert (both["name"] == both["mapped"]).all()
    pairs = mind.queries("op<=max", "dep")
    assert pairs["name_b"].null_count() == 0
    assert (pairs["name"] != pairs["name_b"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "arm"), [("nece", "trained"), ("dep", "trained"), ("value", "random")])
def test_a_probe_that_is_asked_says_what_it_said_in_the_run(mind: MemberMind, task: str, arm: str) -> None:
    key = ["problem", "position", "parameter", "parameter_b"]
    said = mind.probe(task, arm=arm).ask(mind.batch("op<=max"))  # type: ignore[arg-type]
    probe = "v_probe" if arm == "trained" else "random"
    stored = mind.predictions("op<=max").filter(probe=probe, task=task)
    both = stored.join(said, on=key, suffix="_asked", maintain_order="left")
    assert both.height == stored.height > 20
    assert both["label"].to_list() == both["label_asked"].to_list()
    np.testing.assert_allclose(both["score"], both["score_asked"], atol=1e-5)
    assert both["name"].to_list() == both["name_asked"].to_list()


@pytest.mark.slow
def test_a_probe_refuses_problems_of_another_world_or_modulus(mind: MemberMind) -> None:
    own = mind.batch("op<=max").take(slice(0, 1))
    for other in (igsm.generate(1, op=2), ProblemBatch(own.records, own.world, 7)):
        with pytest.raises(BadInput, match="problems must be of the model's world"):
            mind.probe("nece").ask(other)


@pytest.mark.slow
def test_states_are_those_of_the_layer_that_is_asked_for(mind: MemberMind) -> None:
    last = mind.settings.model.layers
    assert mind.states(-1).equals(mind.states(last))
    assert not mind.states(0).equals(mind.states(last))
    assert not mind.states(last, arm="random").equals(mind.states(last))
    ends = mind.states(last, at="sentences")
    assert ends.columns == ["problem", "position", "state"]
    assert ends.filter(position=0).height == ends["problem"].n_unique()
    for wrong in (last + 1, -last - 2):
        with pytest.raises(BadInput, match=f"layer must be one of 0, 1, {last}"):
            mind.states(wrong)


@pytest.mark.slow
def test_a_folder_solves_as_its_member_does_and_as_the_run_did(mind: MemberMind) -> None:
    batch, written = mind.batch("op=max"), mind.generations("op=max")
    folder, limit = igsm.open(mind.checkpoint), mind.settings.evaluation.max_tokens
    for row in range(3):
        one, two = (each.solve(batch[row], max_length=limit) for each in (mind, folder))
        assert one.written == two.written
        assert one.written.solution == written["solution"][row]
        assert one.verdict == two.verdict


@pytest.mark.slow
def test_a_damaged_file_is_refused_with_its_reason(mind: MemberMind) -> None:
    path = mind.folder("verdicts", "op=max beam 1") / "verdicts.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LookupError, match=rf"verdicts\.parquet.*`igsm run {re.escape(MEMBER)}`"):
        mind.verdicts("op=max")
