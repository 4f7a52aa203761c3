"""A stage whose results change raises its version: the values of a toy member are those of ``stages.json``, which also names each version.

What is compared: of stages without torch, every value that they write; of the others, names and shapes exactly, and mean and spread of every
tensor and column up to rounding, because processors differ in their last bits; of stages that score answers, the rows that they make of answers
which no model gave (``given_answers``); of the text probes, what they read in the text. Files are compared by what they hold, so that another
version of a library, which packs them otherwise, changes nothing.

To write the table anew: ``IGSM_WRITE_GOLDEN=1 pytest -m 'slow or not slow' tests/golden``. It refuses a stage that changed under its old version.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference.few_problems import DATA_STAGES, few_problems, write_few
from reference.given_answers import content, given_rows, summed_up
from safetensors.numpy import load_file

from igsm_pipeline.experiments import find_member
from igsm_pipeline.generations.write import generations_table
from igsm_pipeline.model.decoding import Completions
from igsm_pipeline.own_problems.settings import OwnProblemSettings
from igsm_pipeline.own_problems.write import write_own_problems
from igsm_pipeline.planning.flow import STAGES, units_of
from igsm_pipeline.planning.planner import find_unit
from igsm_pipeline.probes.text_features import text_features
from igsm_pipeline.problems import FamilySettings, read_problems
from igsm_pipeline.problems.files import write_parquet
from igsm_pipeline.queries.write import read_queries
from igsm_pipeline.running.runner import run_units
from igsm_pipeline.store import Store, Writing
from igsm_pipeline.text import document
from igsm_pipeline.tokens import TokenSettings, build_table, emit
from igsm_pipeline.verification.settings import VerdictSettings
from igsm_pipeline.verification.write import write_verdicts
from igsm_pipeline.world import load_world

TABLE = Path(__file__).with_name("stages.json")
TORCH = ("checkpoint", "control", "activation_cache", "linear_probes", "v_probes")
GIVEN = ("probe_scores", "probe_controls", "error_correlation", "interchange", "steering", "erasure", "emergence", "regret")
"""Their own values hang on choices between nearly equal numbers (the likeliest token, the best layer); what they make of given answers does not."""
VERSION_ONLY = ("generations", "report")
"""Their values are such choices, or pictures."""
TOLERANCE = 5e-3
"""How far mean and spread may move, as a share of the spread; a single number, as a share of itself."""
OTHER_TOLERANCE = {"linear_probes": 3e-2, **dict.fromkeys(GIVEN, 1e-6)}
"""A fit to the queries of eight problems ends where its line search does: 1.7 % apart on processors of two makers.
Given answers hang on no choice: 1.6e-7 apart with two kernels of OpenBLAS."""
Row = dict[str, Any]


def file_to_edit(stage: str) -> str:
    """Where a stage declares its version."""
    return f"igsm_pipeline/{STAGES[stage].settings.__module__.split('.')[1]}/stage.py"


def judge(old: Mapping[str, Row], new: Mapping[str, Row]) -> list[str]:
    """What is wrong with new rows beside the table's: a stage changed by itself under its old version, or the table is behind."""
    found, changed = [], set[str]()
    for stage, row in new.items():
        if stage not in old or ("content" in row and "content" not in old[stage]):
            found.append(f"{stage}: no row, or none of its values; write the table anew")
            continue
        by_input = changed & _behind(stage)
        differs = not _alike(old[stage], row, OTHER_TOLERANCE.get(stage, TOLERANCE))
        if differs:
            changed.add(stage)
        if row["version"] != old[stage]["version"]:
            changed.add(stage)
            found.append(f"{stage}: its version is {row['version']}, the table says {old[stage]['version']}; write the table anew")
        elif differs and by_input:
            found.append(f"{stage}: other values, because {', '.join(sorted(by_input))} changed; write the table anew")
        elif differs:
            found.append(f"{stage}: other values under version {row['version']}; raise `version` in {file_to_edit(stage)}, then write the table anew")
    return found


def _behind(stage: str) -> set[str]:
    """The stages that a stage rests on."""
    direct = {source for source in STAGES[stage].sources if source in STAGES}
    return direct.union(*(_behind(source) for source in direct))


def _alike(old: Row, new: Row, tolerance: float) -> bool:
    figures, others = old.get("figures", {}), new.get("figures", {})
    close = all(math.dist(figures[name], others[name]) <= tolerance * (1e-6 + _scale(*figures[name])) for name in figures.keys() & others.keys())
    return old.get("content") == new.get("content") and figures.keys() == others.keys() and close


def _scale(mean: float, spread: float) -> float:
    """What a figure may move in proportion to: its spread, or, of a single number, its size."""
    return spread or abs(mean)


def exact(folders: Iterable[Path]) -> Row:
    """Hash of every value of the Parquet and JSON files of some units; tokenizers, which a library writes, are left out."""
    held = []
    for folder in folders:
        for path in sorted((*folder.glob("*.parquet"), *folder.glob("*.json"))):
            if path.suffix == ".parquet":
                table = pq.read_table(path)
                held.append([path.name, str(table.schema.remove_metadata()), table.to_pylist()])
            elif path.name != "manifest.json":
                held.append([path.name, json.loads(path.read_text())])
    return {"content": hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()}


def rounded(folders: Iterable[Path]) -> Row:
    """Hash of the names and shapes of all tensors and columns of some units, and mean and spread of those of floats."""
    shapes, figures = [], {}
    for number, folder in enumerate(folders):
        arrays = {f"{path.name} {name}": one for path in sorted(folder.glob("*.safetensors")) for name, one in sorted(load_file(path).items())}
        for path in sorted(set(folder.glob("*.parquet")) - {folder / "selection.parquet"}):  # one query that flips is a step there
            arrays |= {f"{path.name} {name}": _array(column) for name, column in zip(*_columns(pq.read_table(path)), strict=True)}
        for name, array in arrays.items():
            shapes.append([number, name, list(array.shape), str(array.dtype)])
            if array.dtype.kind == "f" and array.size:
                wide = array.astype(np.float64)
                figures[f"{number} {name}"] = [float(f"{value:.6g}") for value in (wide.mean(), wide.std())]
    return {"content": hashlib.sha256(json.dumps(shapes).encode()).hexdigest(), "figures": figures}


def _columns(table: pa.Table) -> tuple[list[str], list[pa.ChunkedArray]]:
    return table.column_names, table.columns


def _array(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    while pa.types.is_fixed_size_list(flat.type):
        flat = flat.flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A member of eight problems a set: runs a stage, and gives the folders of its units."""
    home = tmp_path_factory.mktemp("golden")
    experiment = few_problems(8) | {
        "interchange": {"pairs": 0},
        "knowledge": {"controls": []},
        "steering": {"problems": 0},
        "erasure": {"problems": 0},
        "regret": {"problems": 0},
    }
    experiment["training"] |= {"num_steps": 6, "snapshots": 0, "batch_windows": 2, "learning_rate": 0.01, "device": "cpu"}
    experiment["probes"] |= {"num_steps": 6, "batch_problems": 4, "learning_rate": 0.01}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IGSM_HOME", str(home))
        patch.delenv("IGSM_EXPERIMENTS", raising=False)
        write_few(home, experiment)
        member, store = find_member("few"), Store.at_home()

        def folders(stage: str) -> list[Path]:
            run_units(member, stage, store)
            return [store.path(unit) for unit in units_of(member) if unit.stage == stage]

        folders.one = lambda stage, name: store.path(find_unit(member, stage, name))  # type: ignore[attr-defined]
        yield folders


def judged_completions(toy: Any, folder: Path) -> Path:
    """Verdicts on completions that no model wrote: reference solutions, cut ones, and ones with the answer of another problem."""
    inputs = {"world": toy.one("world", "world"), "problems": toy.one("problem_sets", "op<=max"), "generations": folder / "generations"}
    for name in ("generations", "verdicts"):
        (folder / name).mkdir()
    world, tokens = load_world(inputs["world"] / "world.json"), TokenSettings(segmentation="phrase")
    table = build_table(world, 5, tokens)
    emitted = emit(read_problems(inputs["problems"], world, 5), table, "pq")
    whole = [emitted.completion(index) for index in range(len(emitted))]
    made = [ids[:-4] if row % 3 == 1 else np.concatenate((ids[:-2], whole[row - 1][-2:])) if row % 3 == 2 else ids for row, ids in enumerate(whole)]
    finished = np.array([row % 3 != 1 for row in range(len(made))])
    prompts = np.array([len(emitted.prompt(row)) for row in range(len(made))])
    write_parquet(generations_table(Completions(made, finished), prompts, table), folder / "generations" / "generations.parquet")
    write_verdicts(VerdictSettings(modulus=5, tokens=tokens), inputs, Writing(folder / "verdicts", False))
    return folder / "verdicts"


def features_of_text(toy: Any) -> list[Any]:
    """What the text probes read in the text, of every query of a set."""
    records = read_problems(toy.one("problem_sets", "op<=max"), load_world(toy.one("world", "world")), 5).records
    folder = toy.one("probe_queries", "op<=max")
    return [text_features(records, read_queries(folder, task)).tolist() for task in ("nece", "dep", "nece_next")]


def rows_of_ones_own(toy: Any, folder: Path) -> Path:
    """The problems of a set as rows of a file, every second one with its solution, read again."""
    inputs = {"world": toy.one("world", "world")}
    batch = read_problems(toy.one("problem_sets", "op<=max"), load_world(inputs["world"]), 5)
    texts = [document(problem, "pq") for problem in batch]
    rows = [{"problem": text.prompt, "solution": text.solution if number % 2 else None} for number, text in enumerate(texts)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "own_problems").mkdir()
    family = FamilySettings(op_max=3, ip_max=4, modulus=5, split_by="problem")
    write_own_problems(OwnProblemSettings.of(folder / "rows.jsonl", family), inputs, Writing(folder / "own_problems", False))
    return folder / "own_problems"


def compare(new: Mapping[str, Row]) -> None:
    """Hold new rows beside the table; with IGSM_WRITE_GOLDEN put them into it, unless a stage changed under its old version."""
    old = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    faults = judge(old, new)
    if os.environ.get("IGSM_WRITE_GOLDEN") and not any("raise `version`" in fault for fault in faults):
        rows = {stage: {**old, **new}[stage] for stage in STAGES if stage in {**old, **new}}
        TABLE.write_text("{\n" + ",\n".join(f"{json.dumps(stage)}: {json.dumps(row)}" for stage, row in rows.items()) + "\n}\n")
        return
    assert not faults, "\n".join(faults)


def test_every_stage_has_a_row_and_its_version_is_the_one_there() -> None:
    compare({stage: {"version": STAGES[stage].version} for stage in VERSION_ONLY})
    known = {*DATA_STAGES, "own_problems", "llm_evaluations", "verdicts", "text_probes", *TORCH, *GIVEN, *VERSION_ONLY}
    assert known == set(STAGES), "tests/golden must know every stage"


def test_the_rows_that_stages_make_of_given_answers_are_those_of_the_table() -> None:
    rows = given_rows()
    assert set(rows) == set(GIVEN)
    compare({stage: {"version": STAGES[stage].version, **summed_up(rows[stage])} for stage in GIVEN})


def test_the_data_of_a_toy_member_are_those_of_the_table(toy: Any, tmp_path: Path) -> None:
    new = {stage: {"version": STAGES[stage].version, **exact(toy(stage))} for stage in DATA_STAGES}
    new["llm_evaluations"] = {"version": STAGES["llm_evaluations"].version, **exact(toy("llm_evaluations"))}
    new["own_problems"] = {"version": STAGES["own_problems"].version, **exact([rows_of_ones_own(toy, tmp_path)])}
    new["text_probes"] = {"version": STAGES["text_probes"].version, "content": content(features_of_text(toy))}
    new["verdicts"] = {"version": STAGES["verdicts"].version, **exact([judged_completions(toy, tmp_path)])}
    compare(new)


@pytest.mark.slow
def test_what_torch_computes_for_a_toy_member_is_that_of_the_table_up_to_rounding(toy: Any) -> None:
    for stage in DATA_STAGES:
        toy(stage)
    compare({stage: {"version": STAGES[stage].version, **rounded(toy(stage))} for stage in TORCH})


OLD = {"problem_sets": {"version": 1, "content": "a"}, "token_shards": {"version": 1, "content": "b", "figures": {"loss": [0.5, 0.1]}}}


def test_other_values_under_the_old_version_name_the_file_to_edit() -> None:
    assert judge(OLD, OLD) == []
    changed = {**OLD, "problem_sets": {"version": 1, "content": "c"}}
    assert judge(OLD, changed) == [
        "problem_sets: other values under version 1; raise `version` in igsm_pipeline/problems/stage.py, then write the table anew"
    ]
    raised = {**OLD, "problem_sets": {"version": 2, "content": "c"}}
    assert judge(OLD, raised) == ["problem_sets: its version is 2, the table says 1; write the table anew"]


def test_values_that_changed_with_their_inputs_need_no_version() -> None:
    changed = {"problem_sets": {"version": 2, "content": "c"}, "token_shards": {**OLD["token_shards"], "content": "d"}}
    assert judge(OLD, changed)[1] == "token_shards: other values, because problem_sets changed; write the table anew"


def test_a_single_number_may_differ_by_rounding_of_its_own_size_and_no_more() -> None:
    old = {"checkpoint": {"version": 1, "content": "d", "figures": {"bias": [80.0, 0.0]}}}
    for bias, faults in ((80.2, 0), (81.0, 1)):
        assert len(judge(old, {"checkpoint": {**old["checkpoint"], "figures": {"bias": [bias, 0.0]}}})) == faults


def test_figures_may_differ_by_rounding_and_no_more() -> None:
    for loss, faults in ((0.5001, 0), (0.502, 1)):
        assert len(judge(OLD, {**OLD, "token_shards": {**OLD["token_shards"], "figures": {"loss": [loss, 0.1]}}})) == faults


def test_every_stage_names_the_file_that_declares_it() -> None:
    root = Path(__file__).parents[2]
    for stage in STAGES.values():
        assert f'name="{stage.name}"' in (root / file_to_edit(stage.name)).read_text()
