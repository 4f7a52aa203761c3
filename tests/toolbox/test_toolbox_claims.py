"""Claims on a page come from results: their numbers are recomputed here from the rows, and a page keeps everything else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from igsm_pipeline.cli import main
from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.experiments.experiment import ExperimentSettings
from igsm_pipeline.intervals.share import share
from igsm_pipeline.probes.text_probe import score_beyond_text
from igsm_pipeline.toolbox.claims import claims, rewrite_claims
from igsm_pipeline.toolbox.published import FORMAT, KIND, PROVENANCE, TRAINED_AS

CURVE = {"task": "nece", "model": "trained", "layer": None, "n": 90, "num_problems": 9, "balanced_accuracy": 0.9}


def publish_made_up(folder: Path, *, gain_low: float = 0.01) -> None:
    (folder / "results").mkdir(parents=True)
    settings = ExperimentSettings.parse({"family": {"op_max": 3, "modulus": 5}}, "test").canonical()
    units = {"checkpoint/checkpoint": {"seconds": 120.0, "counts": {"parameters": 12345, "steps": 7, "tokens": 2_500_000}}}
    said = {"kind": KIND, "format": FORMAT, "member": "mine", "settings": settings, "units": units, "made_on": [{"machine": "x86_64", "torch": "9"}]}
    said["published_with"] = {"igsm_pipeline": "9", "commit": "abc", "processor": "some chip", "cores": 2, "threads": "1"}
    (folder / PROVENANCE).write_text(json.dumps(said, default=str))
    verdicts = []
    for part, op, right, number in (("op<=max", 2, 30, 40), ("op=max+1", 4, 0, 10)):
        extra = {"final_answer_correct": True, "finished": True, "unnecessary_operations": 0, "unnecessary_parameters": 0, "error": None}
        verdicts += [{"slice": part, "beams": 1, "op": op, "correct": index < right, **extra} for index in range(number)]
    pq.write_table(pa.Table.from_pylist(verdicts), folder / "results" / "verdicts.parquet")
    curve = [
        {**CURVE, "step": step, "gain_left": left, "gain_left_low": low, "gain_left_high": 0.2}
        for step, left, low in ((75, 0.05, gain_low), (100, 0.0, 0.0))
    ]
    pq.write_table(pa.Table.from_pylist(curve), folder / "results" / "probe_curves.parquet")
    scores = []
    for probe, value, gain in (("v_probe", 0.9, 0.25), ("random", 0.65, None)):
        row = {"task": "nece", "probe": probe, "slice": "op<=max", "subset": "all", "op": None, "chosen": None, "n": 900, "num_problems": 80}
        for name, number in (("balanced_accuracy", value), ("balanced_accuracy_gain", gain)):
            row |= {f"{name}{end}": None if number is None else number + by for end, by in (("", 0), ("_low", -0.01), ("_high", 0.01))}
        scores.append(row)
    pq.write_table(pa.Table.from_pylist(scores), folder / "results" / "probe_metrics.parquet")


def test_claims_are_the_numbers_of_the_results_with_n_and_interval(tmp_path: Path) -> None:
    publish_made_up(tmp_path / "published")
    text = claims(str(tmp_path / "published"))
    assert f"| 1 to 3 operations | {share(30, 40).percent()} | 40 |" in text
    assert f"| 4 operations, never taught | {share(0, 10).percent()} | 10 |" in text
    assert "12,345 parameters, 2.5M tokens, 2 minutes of training" in text
    assert "| nece, 1 to 3 operations | 90.0 (89.0 to 91.0) | 65.0 (64.0 to 66.0) | 25.0 (24.0 to 26.0) | - | - | - | 900 of 80 problems |" in text
    assert "in the last quarter of their training, on held-out problems: nece (5.0 (1.0 to 20.0) points)." in text
    publish_made_up(tmp_path / "settled", gain_low=-0.01)
    assert "on held-out problems: no V-probe." in claims(str(tmp_path / "settled"))


def test_mistakes_are_claimed_where_there_are_enough_of_them(tmp_path: Path) -> None:
    """A predictor needs ``min_events`` solutions with and without the target; a row over all slices is left out."""
    publish_made_up(tmp_path)
    fewest = CorrelationSettings.model_fields["min_events"].default
    common = {"target": "wrong", "slice": "op<=max", "features": "surface+probes", "n": 100, "positives": fewest}
    common |= {f"{name}{end}": value for name, value in (("auroc", 0.75), ("gain", 0.05)) for end in ("", "_low", "_high")}
    others = [
        {"slice": "op=max+1", "positives": fewest - 1},
        {"slice": "op=max+2", "positives": 101 - fewest},
        {"slice": "all"},
        {"features": "surface"},
    ]
    others += [{"target": "redundant", "gain": None}]
    pq.write_table(pa.Table.from_pylist([common, *({**common, **other} for other in others)]), tmp_path / "results" / "mistake_predictor.parquet")
    event = {"figure": "b", "task": "can_next", "slice": "op<=max", "n": 40, "matched_n": 30}
    event |= {
        f"{name}{end}": value
        for name in ("matched_rate", "matched_baseline", "matched_excess")
        for end, value in (("", 0.5), ("_low", 0.4), ("_high", 0.6))
    }
    event |= {"rate": 0.25, "low": 0.2, "high": 0.3}
    without = {**event, "task": "nece_next", "n": 0}
    pq.write_table(pa.Table.from_pylist([event, without, {**event, "slice": "all"}]), tmp_path / "results" / "error_correlation.parquet")
    text = claims(str(tmp_path))
    half = "50.0 (40.0 to 60.0)"
    assert [line for line in text.splitlines() if line.startswith("| 8")] == [
        f"| 8b can_next, 1 to 3 operations | 25.0 (20.0 to 30.0) of 40 | {half} of 30 | {half} | {half} |"
    ]
    assert [line for line in text.splitlines() if line.startswith(("| wrong", "| redundant"))] == [
        f"| wrong, 1 to 3 operations | {fewest} of 100 | 75.0 (75.0 to 75.0) | 5.0 (5.0 to 5.0) |"
    ]


def test_a_training_that_went_on_says_so(tmp_path: Path) -> None:
    publish_made_up(tmp_path / "published")
    assert "2 minutes of training, one" in claims(str(tmp_path / "published"))
    path = tmp_path / "published" / PROVENANCE
    said = json.loads(path.read_text())
    said["settings"]["training"]["start"] = {"checkpoint": "0" * 64}
    path.write_text(json.dumps(said))
    assert "2 minutes of training from the weights of another, one" in claims(str(tmp_path / "published"))


@pytest.mark.parametrize(("drills", "with_them"), [({}, False), ({"share": 0.0, "lead": 0}, False), ({"share": 0.1}, True), ({"lead": 1}, True)])
def test_a_training_with_drills_says_so(drills: dict[str, float], with_them: bool, tmp_path: Path) -> None:
    publish_made_up(tmp_path / "published")
    path = tmp_path / "published" / PROVENANCE
    said = json.loads(path.read_text())
    said["settings"]["shards"]["drills"] = drills
    path.write_text(json.dumps(said))
    assert ("M tokens with drills, " in claims(str(tmp_path / "published"))) is with_them


def test_a_model_that_was_published_before_keeps_its_training(tmp_path: Path) -> None:
    publish_made_up(tmp_path / "published")
    path = tmp_path / "published" / PROVENANCE
    said = json.loads(path.read_text())
    counts, trained = {"parameters": 12345, "tokens": 40_000_000}, {**said["settings"], "training": {"start": {"checkpoint": "0" * 64}}}
    before = {"member": "first", "settings": trained, "counts": counts, "seconds": 600.0, "made_on": [{"processor": "another chip", "torch": "8"}]}
    path.write_text(json.dumps({**said, TRAINED_AS: before}))
    text = claims(str(tmp_path / "published"))
    assert "12,345 parameters, 40.0M tokens, 10 minutes of training from the weights of another, published before as first, one trained model" in text
    assert "Computed on another chip, torch 8; x86_64, torch 9;" in text


def test_a_page_gets_its_blocks_anew_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    publish_made_up(tmp_path / "published")
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "README.md"
    page.write_text("# Mine\n\n<!-- claims: published -->\nold 99.9 %\n<!-- end of claims -->\n\nafter\n")
    assert rewrite_claims(page) == 1
    first = page.read_text()
    assert first.startswith("# Mine\n\n<!-- claims: published -->\n")
    assert first.endswith("<!-- end of claims -->\n\nafter\n")
    assert "99.9" not in first
    assert claims("published") in first
    with pytest.raises(SystemExit) as ended:
        main(["report", "--claims"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "README.md: 1 block\n"
    assert page.read_text() == first


def test_a_headline_is_short_and_names_what_stands_beside(tmp_path: Path) -> None:
    publish_made_up(tmp_path / "published")
    text = claims(str(tmp_path / "published"), short=True)
    assert f"| solves 1 to 3 operations, fully correct | {share(30, 40).percent()} % | n = 40 |" in text
    assert "| its state knows nece (V-probe, balanced) | 90.0 (89.0 to 91.0) % | random weights 65.0 |" in text
    assert max(map(len, text.splitlines())) <= 120
    page = tmp_path / "page.md"
    page.write_text(f"<!-- claims: {tmp_path / 'published'}, headline -->\n<!-- end of claims -->\n")
    assert rewrite_claims(page) == 1
    assert text in page.read_text()


def test_what_has_no_claims_is_refused_and_the_page_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "data"))
    page = tmp_path / "page.md"
    page.write_text("no block\n")
    with pytest.raises(BadInput, match="must hold a block of claims"):
        rewrite_claims(page)
    page.write_text("<!-- claims: nobody -->\nkept\n<!-- end of claims -->\n")
    with pytest.raises(NotFound, match="nobody"):
        rewrite_claims(page)
    assert "kept" in page.read_text()
    with pytest.raises(BadInput, match="must have verdicts"):
        claims("mini")


def test_the_floor_stands_beside_each_probe(tmp_path: Path) -> None:
    publish_made_up(tmp_path)
    label = np.arange(40) % 2
    common = {"problem": np.repeat(np.arange(10), 4), "task": ["nece"] * 40, "slice": ["op<=max"] * 40, "label": label}
    said = [
        pa.table({**common, "probe": [name] * 40, "prediction": np.where(np.arange(40) < right, label, 1 - label)})
        for name, right in (("v_probe", 36), ("text", 30))
    ]
    beyond = score_beyond_text(pa.concat_tables(said), modulus=5)
    pq.write_table(beyond, tmp_path / "results" / "beyond_text.parquet")
    (row,) = beyond.to_pylist()
    assert (row["missed"], row["right_where_missed"]) == (10, 0.6)
    assert "| 75.0 (" in claims(str(tmp_path))
    assert "of 10 | 900 of 80 problems |" in claims(str(tmp_path))
