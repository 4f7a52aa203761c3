"""What needs no finished run: how light the import is, what can be opened, and what is said where results are missing."""

import doctest
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import igsm_pipeline as igsm
from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.notebook import drawing, opening
from igsm_pipeline.notebook.member import MemberMind
from igsm_pipeline.notebook.mind import FolderMind
from igsm_pipeline.problems import family_by_name
from igsm_pipeline.toolbox.completions import load_tokenizer
from igsm_pipeline.toolbox.dataset import generated_set
from igsm_pipeline.toolbox.published import read_published
from igsm_pipeline.world import load_world

HEAVY = ("torch", "numba", "dagster", "polars", "transformers", "numpy")


def test_importing_the_face_loads_nothing_heavy() -> None:
    code = f"import sys, json, igsm_pipeline; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == []


def test_opening_a_member_loads_no_torch_and_no_compiler() -> None:
    code = "import sys, igsm_pipeline; igsm_pipeline.open('mini').settings; print([n for n in ('torch', 'numba', 'dagster') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_face_fits_on_one_screen_and_every_name_of_it_is_there() -> None:
    assert len(Path(igsm.__file__).read_text().splitlines()) < 60
    for name in igsm.__all__:
        assert getattr(igsm, name).__doc__
        assert name in dir(igsm)
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        igsm.opne  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("module", [igsm, drawing, opening], ids=lambda module: module.__name__)
def test_examples_that_need_no_run_say_what_happens(module: object, home: Path) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_generate_draws_what_the_command_draws() -> None:
    settings = generated_set("med", law="exact", op=3, num_problems=5, seed=4)
    wanted = [igsm.document(one, "pq") for batch in drawing.generate_blocks(settings, load_world("mini")) for one in batch]
    drawn = igsm.generate(5, family="med", world="mini", op=3, seed=4)
    assert [igsm.document(one, "pq") for one in drawn] == wanted
    assert len(set(wanted)) == 5


def test_what_is_not_computed_is_refused_with_the_command_that_computes_it(home: Path) -> None:
    mind = igsm.open("mine")
    assert isinstance(mind, MemberMind)
    asked = {
        "verdicts 'op=max beam 1'": lambda: mind.verdicts("op=max"),
        "problem_sets 'op=max'": lambda: mind.problems("op=max"),
        "v_probes 'nece trained'": lambda: mind.probe("nece"),
        "activation_cache 'op<=max trained'": lambda: mind.states(0),
        "probe_scores": mind.scores,
        "checkpoint": mind.model,
        "error_correlation": lambda: mind.correlation,
        "report": lambda: mind.report,
    }
    for what, ask in asked.items():
        with pytest.raises(NotFound) as caught:
            ask()
        assert str(caught.value).startswith(f"no {what}")
        assert "never computed" in str(caught.value)
        assert str(caught.value).endswith("`igsm run mine`")
    assert not mind.status()["fresh"].any()


def test_wrong_names_are_answered_with_the_right_ones(home: Path) -> None:
    mind = igsm.open("mine")
    assert isinstance(mind, MemberMind)
    with pytest.raises(BadInput, match=r"slice must be one of .*op=max.*got 'op=maxx'; did you mean op=max"):
        mind.verdicts("op=maxx")
    with pytest.raises(BadInput, match=r"task must be one of nece, .*got 'necce'; did you mean nece"):
        mind.queries("op<=max", "necce")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="beams must be one of 1, got 4"):
        mind.generations("op=max", beams=4)
    with pytest.raises(BadInput, match="arm must be one of trained, random, got 'trainde'"):
        mind.probe("nece", arm="trainde")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"beams must be one of 1, got True"):
        mind.generations("op=max", beams=True)
    with pytest.raises(NotFound, match="did you mean mini"):
        igsm.open("minni")


def test_a_folder_is_a_model_only_where_a_configuration_lies(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"must hold config\.json"):
        igsm.open(tmp_path)
    with pytest.raises(NotFound, match=r"must hold config\.json"):
        igsm.open("nowhere/model")
    (tmp_path / "config.json").write_text("{}")
    assert isinstance(igsm.open(tmp_path), FolderMind)
    assert isinstance(igsm.open(str(tmp_path)), FolderMind)


SMALL = Path(__file__).parents[2] / "data" / "published" / "small"
PROBLEM = igsm.generate(1, world="mini", op=2)[0]
MIND: Any = igsm.open(SMALL)
ALIKE = MIND.batch("op<=max").take(slice(0, 1))
MISTAKES = {
    "format must be pq or qp, got 'PQ'": lambda: igsm.document(PROBLEM, "PQ"),  # type: ignore[arg-type]
    "problem must be a Problem, got .*str.* The number": lambda: igsm.verify(igsm.document(PROBLEM, "pq").prompt, " Define x."),  # type: ignore[arg-type]
    r"family: op_max must hold: .*got 0": lambda: igsm.generate(family={"op_max": 0}),
    "family must be a name, a file or settings, got 'int 3'": lambda: igsm.generate(family=3),  # type: ignore[arg-type]
    "world must be a name, a file or a World, got 'NoneType None'": lambda: igsm.generate(world=None),  # type: ignore[arg-type]
    "named must be a member or a folder, got 'NoneType None'": lambda: igsm.open(None),  # type: ignore[arg-type]
    "world must be a name or a file, got 'NoneType None'": lambda: igsm.load_world(None),  # type: ignore[arg-type]
    "lenient must be true or false, got .str": lambda: igsm.load_world("mini", lenient="no"),  # type: ignore[arg-type]
    "aaa must be a readable file, got": lambda: igsm.load_world("a" * 5000),
    "text must be a text, got 'int 5'": lambda: igsm.parse_problem(5, "mini"),  # type: ignore[arg-type]
    "world must be a name, a file or a World, got 'int 5'": lambda: igsm.parse_problem("x", 5),  # type: ignore[arg-type]
    r"problem must be a Problem, got .str .*; take one of a batch \(batch\[0\]\), or read a text with parse_problem": lambda: igsm.document(
        "x", "pq"
    ),  # type: ignore[arg-type]
    "problem must be a Problem, got .ProblemBatch": lambda: igsm.document(igsm.generate(1, world="mini"), "pq"),  # type: ignore[arg-type]
    r"order must hold .*; use problem\.solved\(\)": lambda: igsm.document(igsm.parse_problem(igsm.document(PROBLEM, "pq").prompt, "mini"), "pq"),
    r"^number must hold: input should be greater than or equal to 1, got 0": lambda: igsm.generate(0),
    "^family must be med, hard or a YAML file": lambda: igsm.generate(family="easy"),
    "^family must be med or hard, got 'easy'; name one of them": lambda: family_by_name("easy"),
    r"problem must be a Problem, got .str.*; read it with igsm\.parse_problem\(text, mind\.world, mind\.family": lambda: MIND.solve("x"),
    "problem must be mod 5, as those that the model was trained on, got 23; read it with": lambda: MIND.solve(PROBLEM),
    r"max_length must be a whole number of 1 or more, got 2\.5": lambda: MIND.solve(ALIKE[0], max_length=2.5),
    "beams must be one of .*got 99": lambda: MIND.verdicts(beams=99),
    "beams must be one of .*got True": lambda: MIND.verdicts(beams=True),
    "device must be auto or a torch device of this machine, got 'gpu'; use auto, or cpu": lambda: MIND.model("gpu"),
    "device must be auto or a torch device of this machine, got 'gpx'; use auto, or cpu": lambda: MIND.probe("nece", device="gpx"),
    "candidates must be one of graph, existing, text, all, got 'bogus'": lambda: MIND.probe("nece").ask(ALIKE, candidates="bogus"),
    "task must be one of nece, .*got 'nosuch'": lambda: igsm.open(SMALL).probe("nosuch"),  # type: ignore[union-attr,arg-type]
    "arm must be one of trained, random, got 'rnd'": lambda: igsm.open(SMALL).probe("nece", arm="rnd"),  # type: ignore[union-attr,arg-type]
    "problems must be a batch of problems, got .*Problem": lambda: igsm.open(SMALL).probe("nece").ask(PROBLEM),  # type: ignore[union-attr,arg-type]
}


@pytest.mark.parametrize("wanted", MISTAKES)
def test_what_nothing_can_be_done_with_is_refused_by_name(wanted: str) -> None:
    with pytest.raises(BadInput, match=wanted):
        MISTAKES[wanted]()


def test_no_name_is_too_long_to_be_answered() -> None:
    with pytest.raises(NotFound, match=r"no member and no folder can be named 'mmm.*`igsm status` lists the members"):
        igsm.open("m" * 5000)


def test_the_world_of_a_text_may_be_named() -> None:
    text = igsm.document(PROBLEM, "pq").prompt
    assert igsm.parse_problem(text, "mini") == igsm.parse_problem(text, load_world("mini"))


def test_a_batch_without_problems_is_answered_by_the_same_columns() -> None:
    probe = MIND.probe("nece")
    assert probe.ask(ALIKE.take(slice(0, 0))).schema == probe.ask(ALIKE).schema


def test_the_number_of_beams_chooses_rows_and_numpy_counts_too() -> None:
    rows = MIND.verdicts(beams=1)
    assert set(rows["beams"]) == {1}
    assert MIND.verdicts(beams=np.int64(1)).equals(rows)


def test_a_forked_process_is_told_how_to_read_tables_instead_of_waiting_for_ever() -> None:
    code = """
import multiprocessing
import igsm_pipeline as igsm

mind = igsm.open("%s")
mind.verdicts()

def ask():
    try:
        mind.verdicts()
    except ValueError as error:
        print(error, flush=True)

child = multiprocessing.get_context("fork").Process(target=ask)
child.start()
child.join(60)
print(child.exitcode)
child.kill()
"""
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", code % SMALL], check=True, capture_output=True, text=True).stdout.splitlines()
    assert said[0].startswith("process must not be a fork of one that reads tables, got ")
    assert said[0].endswith("; use multiprocessing.get_context('spawn')")
    assert said[1:] == ["0"]


def test_a_published_folder_and_its_tokenizer_are_read_by_the_text_of_their_path() -> None:
    assert read_published(str(SMALL)) == read_published(SMALL)
    assert load_tokenizer(str(SMALL)).get_vocab() == load_tokenizer(SMALL).get_vocab()


def test_a_family_may_be_a_mapping() -> None:
    given, built = ({"op_max": 2, "ip_max": 4}, igsm.FamilySettings(op_max=2, ip_max=4))
    drawn, wanted = (igsm.generate(3, family=family, world="mini", seed=5) for family in (given, built))
    assert [igsm.document(one, "pq") for one in drawn] == [igsm.document(one, "pq") for one in wanted]
    assert {one.op for one in drawn} <= {1, 2}


def test_a_published_folder_says_what_it_has_where_a_member_has_more() -> None:
    mind = igsm.open(SMALL)
    for name in ("problems", "generations", "states", "mistake_predictor", "settings", "folder"):
        with pytest.raises(AttributeError, match=rf"no `{name}`, which needs the member and its store; its tables are table\(NAME\): .*verdicts"):
            getattr(mind, name)
    assert not hasattr(mind, "nonsense")
    assert mind.table("mistake_predictor").height  # type: ignore[union-attr]
