"""The text probe: its features are local and right, it learns what the text says, and what others know beyond it is measured on the same queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.probes.files import make_predictions
from igsm_pipeline.probes.settings import TextProbeSettings
from igsm_pipeline.probes.text_features import ABOUT_ALL, ABOUT_ONE, ABOUT_TWO, text_features
from igsm_pipeline.probes.text_probe import predict_from_text, score_beyond_text, write_text_probes
from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, generate_block
from igsm_pipeline.problems.problem import ABSTRACT, INSTANCE
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.queries.draw import draw_queries
from igsm_pipeline.queries.facts import parameter_of_code
from igsm_pipeline.queries.labels import exists, list_candidates
from igsm_pipeline.queries.settings import QuerySetSettings, QuerySettings
from igsm_pipeline.queries.write import write_queries
from igsm_pipeline.store import Writing
from igsm_pipeline.world import WorldSettings, load_world
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=5, ip_max=8, modulus=5, op_law="uniform", split_by="problem")


@pytest.fixture(scope="module")
def batch() -> ProblemBatch:
    return generate_block(ProblemSetSettings(family=FAMILY, num_problems=24, block_size=24, seed=3, split="all"), load_world("mini"), 0)


@pytest.mark.parametrize("task", ["known", "dep", "value"])
@pytest.mark.parametrize("candidates", ["existing", "all"])
def test_features_say_what_the_statements_say_about_a_parameter_and_its_neighbours(batch, task, candidates, monkeypatch):
    monkeypatch.setattr("igsm_pipeline.probes.text_features.BLOCK", 5)
    queries = pa.concat_tables(draw_queries(batch, QuerySettings(family=FAMILY, task=task, candidates=candidates, per_problem=12)))
    names = [f"a.{name}" for name in ABOUT_ONE] + [f"b.{name}" for name in ABOUT_ONE] + [*ABOUT_TWO, *ABOUT_ALL]
    problems = list(batch)
    found = text_features(batch.records, queries)
    assert found.shape == (len(queries), len(names))
    for row, query in zip(found, queries.to_pylist(), strict=True):
        got = dict(zip(names, row.tolist(), strict=True))
        problem, record = problems[query["problem"]], batch.records[query["problem"]]
        everyone = list_candidates(problem, "existing")
        known = set(problem.order[: query["position"]])

        def sources(one, problem=problem):
            return set(problem.parents(one)) if one.kind == INSTANCE and exists(problem, one) else set()

        pair = [parameter_of_code(record, query["parameter"])]
        pair.append(pair[0] if query["parameter_b"] == 255 else parameter_of_code(record, query["parameter_b"]))
        uses = [{user for user in everyone if one in sources(user)} for one in pair]
        constants = {one for one in everyone if one.kind == INSTANCE and not sources(one)}
        for letter, one, used in zip("ab", pair, uses, strict=True):
            silent = one.kind == ABSTRACT or not exists(problem, one)
            expected = {
                "kind": (one.kind == ABSTRACT) if exists(problem, one) else 2,
                "sources": -1 if silent else len(sources(one)),
                "missing": -1 if silent else len(sources(one) - known),
                "constant_sources": -1 if silent else len(sources(one) & constants),
                "uses": len(used),
                "known_uses": len(used & known),
                "known": one in known,
                "value": problem.values[one] if one in known else -1,
                "is_asked": one == problem.query,
                "in_question": problem.query in used,
                "uses_question": problem.query in sources(one),
            }
            assert {name: got[f"{letter}.{name}"] for name in ABOUT_ONE} == expected
        first, second = pair
        two = query["parameter_b"] != 255
        assert got["a_from_b"] == (two and second in sources(first))
        assert got["b_from_a"] == (two and first in sources(second))
        assert got["common_sources"] == (len(sources(first) & sources(second)) if two else 0)
        assert got["common_uses"] == (len(uses[0] & uses[1]) if two else 0)
        assert (got["position"], got["parameters"], got["num_known"]) == (query["position"], len(everyone), len(known))
        assert got["constants"] == len(constants)


def test_it_learns_a_rule_of_its_features_and_nothing_from_noise():
    print("seed 0")
    rng = np.random.default_rng(0)
    features = rng.integers(0, 4, (4000, 6)).astype(np.float32)
    label = (features[:, 0] > features[:, 1]).astype(np.int64)
    prediction, score = predict_from_text(features[:3000], label[:3000], features[3000:], num_classes=2, seed=0)
    assert (prediction == label[3000:]).mean() > 0.99
    assert ((score > 0.5) == (prediction == 1)).all()
    noise, _ = predict_from_text(features[:3000], rng.integers(0, 2, 3000), features[3000:], num_classes=2, seed=0)
    assert abs((noise == label[3000:]).mean() - 0.5) < 0.1


def test_labels_of_one_kind_give_that_answer_and_no_queries_none():
    features = np.zeros((10, 3), np.float32)
    prediction, score = predict_from_text(features, np.full(10, 1), features, num_classes=2, seed=0)
    assert (prediction == 1).all()
    assert (score == 1).all()
    assert predict_from_text(features, np.arange(10) % 2, features[:0], num_classes=2, seed=0)[0].shape == (0,)


def _said(label, prediction, probe):
    queries = pa.table(
        {
            "problem": pa.array(np.repeat(np.arange(len(label) // 4), 4), pa.int32()),
            "task": ["nece"] * len(label),
            "position": pa.array([0] * len(label), pa.int16()),
            "parameter": pa.array([index % 4 for index in range(len(label))], pa.uint8()),
            "parameter_b": pa.array([255] * len(label), pa.uint8()),
            "label": pa.array(label, pa.int16()),
            "op": pa.array([3] * len(label), pa.uint8()),
            "necessary": label == 1,
            "distance": pa.array([None] * len(label), pa.uint8()),
        }
    )
    return make_predictions(queries, prediction.astype(np.int16), prediction.astype(np.float32), probe=probe, layer=None, part="op=max")


def test_beyond_the_text_is_counted_where_the_text_is_wrong():
    print("seed 1")
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 4000)
    text = np.where(rng.random(4000) < 0.8, label, 1 - label)
    probe = np.where(text == label, label, np.where(rng.random(4000) < 0.7, label, 1 - label))
    control = text
    tables = [_said(label, said, name) for said, name in ((probe, "v_probe"), (control, "random"), (text, "text"))]
    rows = {row["probe"]: row for row in score_beyond_text(pa.concat_tables(tables), modulus=5).to_pylist()}
    own = rows["v_probe"]
    assert own["missed"] == (text != label).sum()
    assert own["right_where_missed"] == pytest.approx((probe == label)[text != label].mean())
    recalls = [[(said == label)[label == one].mean() for one in (0, 1)] for said in (probe, text)]
    assert own["balanced_accuracy"] == pytest.approx(np.mean(recalls[0]))
    assert own["text"] == pytest.approx(np.mean(recalls[1]))
    assert own["gain"] == pytest.approx(np.mean(recalls[0]) - np.mean(recalls[1]))
    assert 0 < own["gain_low"] < own["gain"] < own["gain_high"]
    assert (rows["random"]["right_where_missed"], rows["random"]["gain"]) == (0, 0)
    assert score_beyond_text(pa.concat_tables(tables[:2]), modulus=5).num_rows == 0


def test_the_stage_learns_from_the_training_problems_alone(tmp_path: Path):
    def write(name, function, settings, given):
        (tmp_path / name).mkdir()
        function(settings, given, Writing(tmp_path / name, False))
        return tmp_path / name

    tasks = ("known", "value")
    inputs = {"world": write("world", write_world, WorldSettings(source="mini"), {})}
    for part, count in (("train", 300), ("slice", 64)):
        settings = ProblemSetSettings(family=FAMILY, num_problems=count, block_size=512, split="all", stream=part)
        problems = write(f"problems {part}", write_problem_set, settings, inputs)
        read = {"world": inputs["world"], "problems": problems}
        queries = write(f"queries {part}", write_queries, QuerySetSettings(family=FAMILY, tasks=tasks, stream=part), read)
        ends = ":train" if part == "train" else ""
        inputs |= {f"problems{ends}": problems, f"queries{ends}": queries}
    settings = TextProbeSettings(slice="op<=max", modulus=FAMILY.modulus, tasks=tasks)
    first = pq.read_table(write("unit", write_text_probes, settings, inputs) / "predictions.parquet")
    known = first.filter(pa.compute.equal(first["task"], "known"))
    assert (known["label"].to_numpy() == known["prediction"].to_numpy()).all(), "what is computed stands in the text"
    value = first.filter(pa.compute.equal(first["task"], "value"))
    assert (value["label"].to_numpy() == value["prediction"].to_numpy()).mean() > 0.97
    path = inputs["queries"] / "queries-known.parquet"
    asked = pq.read_table(path)
    flipped = asked.set_column(asked.column_names.index("label"), "label", pa.array(1 - asked["label"].to_numpy(), pa.int16()))
    pq.write_table(flipped, path)
    again = pq.read_table(write("again", write_text_probes, settings, inputs) / "predictions.parquet")
    assert again["prediction"].equals(first["prediction"]), "labels of the slice reached the learning"
