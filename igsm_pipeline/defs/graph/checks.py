"""What must hold of a stage before anything downstream is worth computing.

Each check is a plain function of a stage run; Dagster shows it beside the asset, and a blocking one that fails stops the run. A check is
evaluated on a hit too, so it is cheap: manifests, Parquet statistics, samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq

from igsm_pipeline.defs.graph.data_checks import lengths, no_repeats, op_histogram, ops_mixed, shard_ops, split_disjoint
from igsm_pipeline.defs.graph.outcomes import Check, Outcome
from igsm_pipeline.running.stage_runs import StageRun
from igsm_pipeline.store import Unit

SAMPLE = 16
SAMPLED_PROBLEMS = 256
SHARING_TOLERANCE = 2e-3
"""Cached states are float16: eleven bits."""
_Z_LIMIT = 6.0


def check_specs(stage: str) -> list[dg.AssetCheckSpec]:
    """The checks of a stage as Dagster declares them."""
    return [dg.AssetCheckSpec(check.name, asset=stage, description=check.description, blocking=check.blocking) for check in checks_of(stage)]


def check_results(run: StageRun) -> list[dg.AssetCheckResult]:
    """Every check of a stage, evaluated; one that is not blocking warns."""
    results = []
    for check in checks_of(run.stage):
        outcome = check.evaluate(run)
        severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
        results.append(
            dg.AssetCheckResult(
                passed=outcome.passed, check_name=check.name, asset_key=run.stage, severity=severity,
                description=outcome.message, metadata=dict(outcome.metadata),
            )
        )  # fmt: skip
    return results


def checks_of(stage: str) -> list[Check]:
    """The checks of a stage: files intact, then its own."""
    return [_FILES_INTACT, *_OWN.get(stage, ())]


def files_intact(run: StageRun) -> Outcome:
    """Every file of every unit has the size and the modification time that its manifest states."""
    broken = [f"{unit.name}: {reason}" for unit in run.units for reason in run.store.check(unit).reasons]
    files = sum(len(manifest["files"]) for manifest in run.manifests.values())
    return Outcome(not broken, "; ".join(broken) or f"{files} files as their manifests state", {"files": files})


def gold_solutions_verify(run: StageRun) -> Outcome:
    """The reference solution of a sample of every problem set passes the verifier, from text alone."""
    from igsm_pipeline import text, verification  # noqa: PLC0415

    wrong, judged = [], 0
    for unit, batch in _batches(run):
        for index in np.linspace(0, len(batch) - 1, min(SAMPLE, len(batch)), dtype=int).tolist():
            problem = batch[index]
            verdict = verification.verify(problem, text.render_solution(problem), text.render_answer(problem))
            judged += 1
            if not verdict.correct:
                wrong.append(f"{unit.name} problem {index}: {verdict.error}")
    return Outcome(not wrong, "; ".join(wrong) or f"{judged} reference solutions are correct", {"solutions judged": judged})


def _batches(run: StageRun) -> Iterator[tuple[Unit, Any]]:
    from igsm_pipeline.problems import read_problems  # noqa: PLC0415
    from igsm_pipeline.world import load_world  # noqa: PLC0415

    for unit in run.units:
        world = load_world(run.store.path(unit.inputs["world"]) / "world.json")
        yield unit, read_problems(run.store.path(unit.inputs.get("problems", unit)), world, unit.settings["family"]["modulus"])


def checkpoint_loads(run: StageRun) -> Outcome:
    """The weights are readable and finite; a checkpoint just trained is loaded as a model, too."""
    from safetensors import safe_open  # noqa: PLC0415

    tensors = 0
    for folder in run.folders():
        with safe_open(folder / "model.safetensors", framework="numpy") as weights:
            for name in weights.keys():  # noqa: SIM118  (safe_open is no mapping)
                if not np.isfinite(weights.get_tensor(name)).all():
                    return Outcome(False, f"{name} holds a value that is not finite")
                tensors += 1
        if not run.hit:
            from igsm_pipeline.model.gpt2_rotary import load  # noqa: PLC0415  (torch)

            load(folder)
    return Outcome(tensors > 0, f"{tensors} tensors, all finite", {"tensors": tensors})


def labels_of_both_kinds(run: StageRun) -> Outcome:
    """Every training set of queries holds more than one label: a probe of one class would learn nothing."""
    poor = []
    for unit in run.units:
        for path in run.store.path(unit).glob("queries*.parquet"):
            labels = pq.read_table(path, columns=["label"])["label"].unique().to_pylist()
            if len(labels) < 2 and "train" in unit.name:
                poor.append(f"{path.stem} of {unit.name} has only {labels}")
    return Outcome(not poor, "; ".join(poor) or "every training set holds more than one label")


def label_shares(run: StageRun) -> Outcome:
    """Labels are those of the declared draw: as many positives as drawing queries of each problem without replacement gives, natural shares."""
    from igsm_pipeline.queries.draw import list_queries  # noqa: PLC0415
    from igsm_pipeline.queries.settings import QuerySetSettings  # noqa: PLC0415
    from igsm_pipeline.queries.write import read_queries  # noqa: PLC0415

    wrong, shares = [], {}
    for unit, batch in _batches(run):
        settings = QuerySetSettings.parse(unit.settings, unit.name)
        sample = batch.take(slice(0, SAMPLED_PROBLEMS))
        for task in settings.tasks:
            modulus = settings.family.modulus
            every, drawn = (
                _positives(table, task, modulus, len(sample))
                for table in (list_queries(sample, settings.of(task)), read_queries(run.store.path(unit), task))
            )
            number, there, share = drawn[0], np.maximum(every[0], 1), every[1] / np.maximum(every[0], 1)
            expected = float((number * share).sum())
            spread = math.sqrt(float((number * share * (1 - share) * (there - number) / np.maximum(there - 1, 1)).sum()))
            found = float(drawn[1].sum())
            shares[f"{task}, {unit.name}"] = round(found / max(1, number.sum()), 4)
            if (number != np.minimum(every[0], settings.per_problem)).any() or abs(found - expected) > _Z_LIMIT * spread + 1e-6:
                wrong.append(f"{unit.name} {task}: {found:.0f} positives of {number.sum():.0f} where {expected:.0f} must be near")
    return Outcome(not wrong, "; ".join(wrong) or f"{len(shares)} shares of positive labels are those of the draw", {"positive shares": shares})


def _positives(table: Any, task: str, modulus: int, num_problems: int) -> tuple[Any, Any]:
    """Queries and positive labels of each of the first problems, (num_problems,) each."""
    problem, label = table["problem"].to_numpy(), table["label"].to_numpy()
    inside = problem < num_problems
    positive = label < modulus if task == "value" else label == 1
    number, positives = (np.bincount(problem[inside], weights=one[inside], minlength=num_problems) for one in (np.ones(len(problem)), positive))
    return number, positives


def probed_apart(run: StageRun) -> Outcome:
    """No hash bin of the problems that probes are trained on occurs in a slice that they are tested on (reask stands outside)."""
    bins: dict[bool, set[int]] = {True: set(), False: set()}
    for unit in run.units:
        problems = unit.inputs["problems"]
        if not problems.settings["reask"]:
            for path in run.store.path(problems).glob("*.parquet"):
                bins["train" in unit.name] |= set(pq.read_table(path, columns=["split_bin"])["split_bin"].unique().to_pylist())
    shared = bins[True] & bins[False]
    return Outcome(not shared, f"bins on both sides: {sorted(shared)}" if shared else "probes are trained and tested on different bins")


def sharing_is_exact(run: StageRun) -> Outcome:
    """A sample of cached states equals those of one plain pass per query; looked at when the states were just computed."""
    if run.hit:
        return Outcome(True, "as when the states were computed")
    from igsm_pipeline.activations.check import largest_gap  # noqa: PLC0415  (torch)

    gaps = {}
    for unit in run.stale:
        inputs = {role: run.store.path(source) for role, source in unit.inputs.items()}
        gaps[unit.name] = round(largest_gap(unit.settings, inputs, run.store.path(unit), sample=SAMPLE), 6)
    wide = [name for name, gap in gaps.items() if gap > SHARING_TOLERANCE]
    message = f"states differ from those of separate passes: {wide}" if wide else f"{len(gaps)} caches agree with separate passes"
    return Outcome(not wide, message, {"largest gap over largest state": gaps})


def beats_random(run: StageRun) -> Outcome:
    """Each task's probe beats the same probe on random weights on every slice: the interval of the paired difference lies above 0."""
    scores = [row for path in run.tables() if path.name == "metrics.parquet" for row in pq.read_table(path).to_pylist()]
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in scores:
        if row["subset"] == "all" and row["op"] is None and row["balanced_accuracy_gain"] is not None:
            old = best.setdefault((row["task"], row["slice"]), row)
            if row["balanced_accuracy_gain"] > old["balanced_accuracy_gain"]:
                best[row["task"], row["slice"]] = row
    gains = {f"{task} on {part}": round(row["balanced_accuracy_gain"], 4) for (task, part), row in best.items()}
    weak = [name for name, row in zip(gains, best.values(), strict=True) if not (row["balanced_accuracy_gain_low"] or 0) > 0]
    message = f"no gain over random weights: {', '.join(weak)}" if weak else f"all {len(gains)} gains over random weights are above 0"
    return Outcome(not weak and bool(gains), message if gains else "no probe was compared with its control", {"gains": gains})


def self_contained(run: StageRun) -> Outcome:
    """The report loads nothing from elsewhere."""
    from igsm_pipeline.reports.page import foreign_references  # noqa: PLC0415

    found = [one for folder in run.folders() for one in foreign_references(Path(folder / "report.html").read_text())]
    return Outcome(not found, f"the page loads {found[:3]}" if found else "the page loads nothing from elsewhere")


_FILES_INTACT = Check("files_intact", "Every file has the size and time that its manifest states.", files_intact)
_OWN: Mapping[str, tuple[Check, ...]] = {
    "problem_sets": (
        Check("op_histogram", "Ops are those asked for, in every file of every set.", op_histogram),
        Check("ops_mixed", "Ops of neighbours are independent: no window or batch holds one level by accident of order.", ops_mixed),
        Check("split_disjoint", "No hash bin occurs both in training and in test sets.", split_disjoint),
        Check("no_repeats", "No problem is there twice by its key; repeats by content are counted.", no_repeats),
        Check("gold_solutions_verify", "The verifier accepts the reference solutions.", gold_solutions_verify),
    ),
    "token_shards": (
        Check("shard_ops", "Every shard holds the ops of the law.", shard_ops),
        Check("lengths", "Windows are filled, and no op level is dropped for its length.", lengths, blocking=False),
    ),
    "checkpoint": (Check("checkpoint_loads", "Weights are readable and finite.", checkpoint_loads),),
    "probe_queries": (
        Check("labels_of_both_kinds", "Training queries hold more than one label.", labels_of_both_kinds),
        Check("label_shares", "Labels come in the shares of the declared draw.", label_shares),
        Check("probed_apart", "No problem is on both sides of the probes' split.", probed_apart),
    ),
    "activation_cache": (Check("sharing_is_exact", "Shared prefixes give the states of separate passes.", sharing_is_exact),),
    "probe_scores": (Check("beats_random", "Better than the same probe on random weights.", beats_random, blocking=False),),
    "report": (Check("self_contained", "The page loads nothing from elsewhere.", self_contained, blocking=False),),
}
