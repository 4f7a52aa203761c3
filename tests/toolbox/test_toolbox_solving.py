"""A model is asked for a solution in text and judged step by step; what it wrote is what the pipeline's generations would hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from igsm_pipeline.cli import main
from igsm_pipeline.errors import BadCheckpoint, BadInput
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings, generate
from igsm_pipeline.store import MANIFEST, Store, Unit
from igsm_pipeline.text import document, render_answer, render_solution
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.toolbox.completions import Written, write_solution
from igsm_pipeline.toolbox.dataset import problem_rows
from igsm_pipeline.toolbox.solver import find_solver, trained_on
from igsm_pipeline.toolbox.solving import GivenProblem, Solved, problem_text, read_problem, solve_problem
from igsm_pipeline.verification import verify
from igsm_pipeline.verification.rows.spelling import Spelling
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=3, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
SETTINGS = ProblemSetSettings(family=FAMILY, num_problems=6, block_size=6, seed=3, split="test")


@pytest.fixture(scope="module", params=[TokenSettings(segmentation="phrase"), TokenSettings()], ids=["phrase", "bpe"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TokenSettings]:
    """An untrained model with its tokenizer, as a checkpoint folder."""
    place = tmp_path_factory.mktemp("checkpoint")
    table = build_table(load_world("mini"), FAMILY.modulus, request.param)
    tiny = ModelSettings(layers=1, heads=2, head_width=16, partial_rotary_factor=0.5)
    gpt2_rotary.save(gpt2_rotary.build(tiny, table.size, 2048, 3, bos=table.bos, eos=table.eos), place)
    save_tokenizer(table, place)
    return place, request.param


def test_the_solution_is_what_the_pipeline_generates(folder: tuple[Path, TokenSettings]) -> None:
    world, solver = load_world("mini"), find_solver(str(folder[0]))
    batch = next(iter(generate(SETTINGS, world)))
    table = build_table(world, FAMILY.modulus, folder[1])
    emitted = emit(batch, table, "pq")
    for row in range(2):
        asked = GivenProblem(document(batch[row], "pq").prompt, world, FAMILY.modulus)
        solved = solve_problem(asked, solver, max_length=400)
        made = complete(solver.model, [emitted.prompt(row)], max_tokens=400, max_length=400, eos=table.eos).tokens[0]
        assert (solved.written.solution, solved.written.answer) == table.decode_completion(made)
        assert solved.written.tokens == len(made)


def test_a_problem_that_the_model_has_no_words_for_is_refused(folder: tuple[Path, TokenSettings]) -> None:
    world, solver = load_world("mini"), find_solver(str(folder[0]))
    text = document(next(iter(generate(SETTINGS, world)))[0], "pq").prompt
    for strange in (text.replace(" each", " évery", 1), text.replace("equals", "equals 17 more than", 1).replace(" each", " \N{SNOWMAN}", 1)):
        with pytest.raises(BadInput, match="words that the model's tokenizer has"):
            write_solution(solver.model, solver.tokenizer, strange, max_length=400)


def shown(solved: Solved) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(solved.view("someone"))
    return console.export_text()


def test_the_first_error_is_marked_and_named() -> None:
    world = load_world("mini")
    batch = next(iter(generate(SETTINGS, world)))
    problem = next(problem for problem in batch if problem.op == 3)
    solution, answer = render_solution(problem), render_answer(problem)
    wrong_answer = f" {(int(answer) + 1) % 5}"
    text = document(problem, "pq").prompt

    def solved(solution: str, answer: str) -> Solved:
        return Solved(text, problem, Written(solution, answer, True, 9), verify(problem, solution, answer))

    right = shown(solved(solution, answer))
    assert "correct: 3 operations" in right
    assert "✗" not in right
    wrong = shown(solved(solution, wrong_answer))
    assert "wrong answer" in wrong
    assert f"✗ answer{wrong_answer} (it is{answer})" in wrong
    broken = shown(solved(solution.replace("Define", "Define Nobody's", 1), answer))
    assert "✗ Define Nobody's" in broken
    assert "in sentence 0" in broken


def test_files_of_text_and_of_generated_rows_hold_the_same_problem(tmp_path: Path) -> None:
    world = load_world("mini")
    batch = next(iter(generate(SETTINGS, world)))
    table = build_table(world, FAMILY.modulus, TokenSettings())
    row = json.dumps(next(iter(problem_rows(batch, table, FAMILY))))
    text = document(batch[0], "pq").prompt
    question_last, question_first = text.strip().replace("'", "\u2019").replace(". ", ".\n"), document(batch[0], "qp").prompt
    contents = {
        "a.jsonl": row + "\n{}\n",
        "a.txt": text + "\n",
        "typographic.txt": "\ufeff" + question_last,
        "with_solution.txt": f"Problem: {question_last}\nSolution: {render_solution(batch[0])}",
        "array.json": f"[{row}]",
        "chat.json": json.dumps({"messages": [{"role": "user", "content": text}]}),
        "prompts.CSV": f'prompt\n"{question_last}"\n',
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        found: set[Spelling] = set()
        given = read_problem(tmp_path / name, {"problem": "prompt"} if "prompt" in name else None)
        assert problem_text(given, world, "pq", found) == text
        assert (Spelling.APOSTROPHES in found) == ("\u2019" in content)
    assert problem_text(read_problem(tmp_path / "a.jsonl"), world, "qp", set()) == question_first
    for name, content in {"a.json": "{}", "empty.txt": " \n", "empty.jsonl": ""}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(BadInput, match=r"problem must be text|must hold a problem"):
            read_problem(tmp_path / name)


def test_the_command_solves_a_drawn_problem_with_a_checkpoint_folder(
    folder: tuple[Path, TokenSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path))
    family = tmp_path / "family.yaml"
    family.write_text("family: {op_max: 3, ip_max: 4, modulus: 5, op_law: uniform, split_by: problem}")
    common = ["--family", str(family), "--world", "mini", "--op", "2", "--seed", "1"]
    for extra, code in ((["--model", str(folder[0])], 1), ([], 0)):
        with pytest.raises(SystemExit) as ended:
            main(["solve", *common, *extra])
        assert ended.value.code == code, "an untrained model is wrong, the reference is not asked"
    out = capsys.readouterr().out
    assert "wrong: " in out
    assert " Define " in out.splitlines()[-2] or out.splitlines()[-2].startswith("Define ")
    assert out.splitlines()[-1].isdigit()


def test_what_is_no_model_is_refused_as_what_it_is_and_nothing_is_made_by_asking(
    folder: tuple[Path, TokenSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nothing")
    no_folder = "--model must be a member, models:/NAME@ALIAS or a checkpoint's folder, got "
    for named, told in {
        "file": no_folder,
        "link": no_folder,
        "./gone": no_folder,
        "../gone/": no_folder,
        "~/gone": no_folder,
        str(folder[0] / "model.safetensors"): no_folder,
        "models:/nope@champion": "no model models:/nope@champion: nothing is registered in ",
        "models:/nope": "must be models:/NAME@ALIAS or models:/NAME/VERSION",
        "mni": "no member 'mni'; did you mean mini",
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(["solve", "--model", named])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err, named
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("inputs", [{}, {"world": {"fingerprint": "0" * 20, "content": ""}}])
def test_a_manifest_that_tells_no_world_or_family_leaves_them_unknown(tmp_path: Path, inputs: dict[str, object]) -> None:
    said = {"stage": "checkpoint", "name": "x", "version": 1, "settings": {}, "inputs": inputs, "content": "", "files": {}, "counts": {}}
    (tmp_path / MANIFEST).write_text(json.dumps({**said, "bytes": 0, "seconds": 1, "finished": ""}))
    assert trained_on(tmp_path) == (None, None)


def unit_of_world(settings: WorldSettings) -> Unit:
    return Unit("world", "world", 1, settings.canonical())


@pytest.mark.parametrize("home", ["that of the world", "another", None])
@pytest.mark.parametrize(("source", "lenient"), [("mini", False), ("igsm", True), ("own", False)])
def test_a_checkpoint_copied_out_of_its_store_keeps_its_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None, source: str, lenient: bool
) -> None:
    """A world of one's own is found in the data root alone, a built-in one anywhere."""
    if source == "own":
        document = load_world("igsm").document()
        document["hierarchies"].reverse()
        source = str(tmp_path / "own.json")
        Path(source).write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IGSM_HOME", raising=False)
    settings = WorldSettings(source=source, lenient=lenient)
    world, store = unit_of_world(settings), Store(tmp_path / "home" / "store")
    checkpoint = Unit("checkpoint", "checkpoint", 1, {"family": FAMILY.canonical()}, {"world": world})
    with store.write(world) as writing:
        write_world(settings, {}, writing)
    with store.write(checkpoint):
        pass
    assert trained_on(store.path(checkpoint)) == (FAMILY, settings.load())
    copied = shutil.copytree(store.path(checkpoint), tmp_path / "copied")
    if home:
        monkeypatch.setenv("IGSM_HOME", str(tmp_path / ("home" if home == "that of the world" else "elsewhere")))
    known = home == "that of the world" or "own.json" not in source
    assert trained_on(copied) == (FAMILY, settings.load() if known else None)


def test_a_folder_without_a_tokenizer_is_said_to_have_none(folder: tuple[Path, TokenSettings], tmp_path: Path) -> None:
    shutil.copytree(folder[0], tmp_path / "bare", ignore=shutil.ignore_patterns("*token*"))
    with pytest.raises(BadCheckpoint, match="must hold a tokenizer, got 'no file of one'; copy tokenizer"):
        find_solver(str(tmp_path / "bare"))


def test_numbers_are_read_as_the_table_reads_them(folder: tuple[Path, TokenSettings]) -> None:
    solver = find_solver(str(folder[0]))
    world = load_world("mini")
    table, batch = build_table(world, FAMILY.modulus, folder[1]), next(iter(generate(SETTINGS, world)))
    prompt = solver.tokenizer("<|endoftext|><|problem|>" + document(batch[1], "pq").prompt + "<|solution|>", add_special_tokens=False)["input_ids"]
    np.testing.assert_array_equal(prompt, emit(batch, table, "pq").prompt(1))
