"""The stage probe_scores: every probe on the same queries of a slice, its control and the majority beside it, and a dense map that agrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.activations import computed
from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.activations.write import write_activations
from igsm_pipeline.model.gpt2_rotary import build, save
from igsm_pipeline.model.settings import ControlSettings, ModelSettings
from igsm_pipeline.model.write import write_control
from igsm_pipeline.probes.scoring import KEY_COLUMNS, METRICS_SCHEMA
from igsm_pipeline.probes.settings import LinearProbeSettings, ScoreSettings, VProbeSettings
from igsm_pipeline.probes.write_linear_probes import write_linear_probes
from igsm_pipeline.probes.write_scores import write_scores
from igsm_pipeline.probes.write_v_probe import write_v_probe
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.queries.write import write_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
TOKENS = TokenSettings(segmentation="phrase")
SMALL = ModelSettings(layers=2, heads=2, head_width=16)
TASKS = ("nece", "dep", "value")
COMMON = {"family": FAMILY, "tokens": TOKENS, "device": "cpu"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("scores")

    def write(name: str, function, settings, given: dict[str, Path]) -> Path:
        (home / name).mkdir()
        function(settings, given, Writing(home / name, False))
        return home / name

    world = {"world": write("world", write_world, WorldSettings(source="mini"), {})}
    save(build(SMALL, build_table(load_world("mini"), FAMILY.modulus, TOKENS).size, 128, seed=4), home / "checkpoint")
    control = write("control", write_control, ControlSettings(family=FAMILY, tokens=TOKENS, model=SMALL), world)
    models = {"trained": home / "checkpoint", "random": control}
    parts = {}
    for part, count in (("probe_train", 48), ("op<=max", 24)):
        split = "train" if part == "probe_train" else "test"
        problems = ProblemSetSettings(family=FAMILY, num_problems=count, block_size=48, split=split, stream=part)
        read = {**world, "problems": write(f"problems {part}", write_problem_set, problems, world)}
        read["queries"] = write(f"queries {part}", write_queries, QuerySetSettings(family=FAMILY, tasks=TASKS, stream=part), read)
        parts[part] = read
    found = dict(parts["op<=max"])
    for arm, model in models.items():
        kept = ActivationSettings.parse({**COMMON, "tasks": TASKS}, "test")
        states = {part: write(f"states {part} {arm}", write_activations, kept, {**read, "model": model}) for part, read in parts.items()}
        training = {"queries": parts["probe_train"]["queries"], "activations": states["probe_train"]}
        fitted = LinearProbeSettings(modulus=FAMILY.modulus, tasks=TASKS, device="cpu")
        found |= {f"model:{arm}": model, f"activations:{arm}": states["op<=max"]}
        found[f"linear_probes:{arm}"] = write(f"linear {arm}", write_linear_probes, fitted, training)
        for task in TASKS:
            recipe = VProbeSettings.parse({**COMMON, "task": task, "num_steps": 3, "batch_problems": 8}, "test")
            found[f"v_probes:{task} {arm}"] = write(f"V {task} {arm}", write_v_probe, recipe, {**parts["probe_train"], "model": model})
    return found


def score(inputs: dict[str, Path], folder: Path) -> Writing:
    folder.mkdir()
    writing = Writing(folder, False)
    write_scores(
        ScoreSettings.parse({**COMMON, "tasks": TASKS, "slice": "op<=max", "num_resamples": 100, "mapped_problems": 4}, "test"), inputs, writing
    )
    return writing


def test_every_probe_and_control_answers_the_same_queries_of_each_task(inputs: dict[str, Path], tmp_path: Path) -> None:
    predictions = pq.read_table(score(inputs, tmp_path / "unit").folder / "predictions.parquet").to_pylist()
    for task in TASKS:
        queries = pq.read_table(inputs["queries"] / f"queries-{task}.parquet").to_pylist()
        labels = [(*(query[key] for key in KEY_COLUMNS), query["label"]) for query in queries]
        said = {}
        for row in predictions:
            if row["task"] == task:
                said.setdefault((row["probe"], row["layer"]), []).append((*(row[key] for key in KEY_COLUMNS), row["label"]))
        layers = [(name, layer) for name in ("linear", "linear_random") for layer in range(3)]
        assert set(said) == {("v_probe", None), ("random", None), *layers}
        assert all(found == labels for found in said.values())


def test_scores_name_the_chosen_layer_the_gain_and_the_majority(inputs: dict[str, Path], tmp_path: Path) -> None:
    metrics = pq.read_table(score(inputs, tmp_path / "unit").folder / "metrics.parquet")
    assert metrics.schema == METRICS_SCHEMA
    rows = metrics.to_pylist()
    for task in TASKS:
        whole = [row for row in rows if (row["task"], row["subset"], row["op"]) == (task, "all", None)]
        assert {row["probe"] for row in whole} == {"v_probe", "random", "linear", "linear_random", "majority"}
        for arm, probe in (("trained", "linear"), ("random", "linear_random")):
            selection = pq.read_table(inputs[f"linear_probes:{arm}"] / "selection.parquet").to_pylist()
            (best,) = [row["layer"] for row in selection if row["task"] == task and row["chosen"]]
            assert [row["layer"] for row in whole if row["probe"] == probe and row["chosen"]] == [best]
        assert all((row["balanced_accuracy_gain"] is not None) == (row["probe"] in ("v_probe", "linear")) for row in whole)
        assert len({row["n"] for row in whole}) == 1


@pytest.mark.parametrize("most_bytes", [1 << 30, 1])
def test_states_that_are_not_kept_give_the_probes_and_the_scores_of_those_that_are(
    inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(computed, "MOST_BYTES", most_bytes)
    passes: list[tuple[int, ...]] = []
    plain = computed.Reading.states
    monkeypatch.setattr(computed.Reading, "states", lambda self, tokens, layers: passes.append(layers) or plain(self, tokens, layers))
    home = inputs["world"].parent
    training = {"world": inputs["world"], "problems": home / "problems probe_train", "queries": home / "queries probe_train"}
    found = {role: folder for role, folder in inputs.items() if not role.startswith("activations")}
    for arm in ("trained", "random"):
        states = ActivationSettings.parse({**COMMON, "tasks": TASKS, "arm": arm}, "test")
        settings = LinearProbeSettings(modulus=FAMILY.modulus, tasks=TASKS, device="cpu", states=states)
        folder = tmp_path / arm
        folder.mkdir()
        write_linear_probes(settings, {**training, "model": inputs[f"model:{arm}"]}, Writing(folder, False))
        for name in ("probes.safetensors", "selection.parquet"):
            assert (folder / name).read_bytes() == (inputs[f"linear_probes:{arm}"] / name).read_bytes(), name
    kept, computed_now = score(inputs, tmp_path / "kept").folder, score(found, tmp_path / "now").folder
    assert sorted(path.name for path in kept.iterdir()) == sorted(path.name for path in computed_now.iterdir())
    for path in kept.glob("*.parquet"):
        assert path.read_bytes() == (computed_now / path.name).read_bytes(), path.name
    assert passes == ([(0, 1, 2)] if most_bytes > 1 else [(0,), (1,), (2,)]) * 4, "two arms, training problems and a slice"


def test_the_dense_map_says_what_the_probe_says_of_the_drawn_queries(inputs: dict[str, Path], tmp_path: Path) -> None:
    folder = score(inputs, tmp_path / "unit").folder
    state = pq.read_table(folder / "mental_state.parquet").to_pylist()
    assert {row["task"] for row in state} == {"nece", "value"}
    said = {tuple(row[key] for key in KEY_COLUMNS): row["prediction"] for row in state}
    assert len(said) == len(state)
    drawn = [row for row in pq.read_table(folder / "predictions.parquet").to_pylist() if row["probe"] == "v_probe" and row["problem"] < 4]
    drawn = [row for row in drawn if row["task"] != "dep"]
    assert len(drawn) > 20
    assert np.mean([said[tuple(row[key] for key in KEY_COLUMNS)] == row["prediction"] for row in drawn]) >= 0.95  # ties may round apart
    assert all("'s " in row["name"] for row in state)


def test_the_same_probes_give_the_same_tables(inputs: dict[str, Path], tmp_path: Path) -> None:
    first, second = (score(inputs, tmp_path / name).folder for name in ("first", "second"))
    for name in ("predictions.parquet", "metrics.parquet", "distances.parquet", "mental_state.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
