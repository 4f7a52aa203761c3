"""The problem sets that an experiment needs, by name; they are drawn, or taken from a file of one's own."""

from __future__ import annotations

from igsm_pipeline.experiments.experiment import ExperimentSettings
from igsm_pipeline.experiments.slices import MONITOR, PROBE_TRAIN, slice_set
from igsm_pipeline.problems.settings import ProblemSetSettings

TRAIN = "train"
INTERCHANGED, TWINS = "interchange own", "interchange twins"
"""Problem sets of the interchange: the same problems, as they were drawn and with another question."""
SNAPSHOTS = "emergence"
"""Problem set that every snapshot of the training solves."""
STEERED = "steering"
"""Problem set whose states are pushed."""
ERASED, ERASED_FIT = "erasure asked", "erasure train"
"""Problem sets that are solved with something erased, and that erasers learn from."""
REGRETTED = "regret"
"""Problem set that the probe of regret learns from."""


def problem_sets(settings: ExperimentSettings) -> dict[str, ProblemSetSettings]:
    """The problem sets of an experiment by name: ``train``, ``monitor``, ``monitor:SLICE``, the evaluation slices, ``probe_train``."""
    evaluation, probes, family, shards = settings.evaluation, settings.probes, settings.family, settings.shards
    sets = {}
    trained = settings.model.path is None
    if trained and not shards.streaming:
        sets[TRAIN] = ProblemSetSettings(family=family, num_problems=shards.num_problems, seed=shards.seed)
    if trained:
        sets[MONITOR] = ProblemSetSettings(
            family=family, balanced=True, split="test", num_problems=evaluation.monitor_per_op * family.op_max, seed=evaluation.seed, stream=MONITOR
        )
        for name in evaluation.monitor_slices:
            watched = slice_set(name, evaluation.slices, family, num_problems=evaluation.monitor_per_op, per_op=1, seed=evaluation.seed)
            sets[f"{MONITOR}:{name}"] = watched.model_copy(update={"stream": watched.stream.replace("evaluation", MONITOR)})
    for name in dict.fromkeys((*evaluation.slices, *probes.slices)):
        sets[name] = slice_set(
            name, evaluation.slices, family, num_problems=evaluation.num_problems, per_op=evaluation.problems_per_op, seed=evaluation.seed
        )
    if probes.tasks:
        sets[PROBE_TRAIN] = ProblemSetSettings(family=family, num_problems=probes.num_problems, seed=probes.seed, stream="probes")
    if settings.training.snapshots and trained:
        asked_of_all = settings.emergence
        sets[SNAPSHOTS] = ProblemSetSettings(
            family=family,
            balanced=True,
            split="test",
            num_problems=asked_of_all.problems_per_op * family.op_max,
            seed=asked_of_all.seed,
            stream=SNAPSHOTS,
        )
    if settings.interchange.pairs:
        twin = {"family": family, "law": "exact", "op": family.op_max, "split": "test", "seed": settings.interchange.seed, "stream": "interchange"}
        for name in (INTERCHANGED, TWINS):
            sets[name] = ProblemSetSettings(**twin, num_problems=settings.interchange.pairs, reask=name == TWINS)
    if settings.steering.problems and "nece" in probes.tasks:
        asked = settings.steering
        sets[STEERED] = ProblemSetSettings(
            family=family, law="exact", op=family.op_max, split="test", num_problems=asked.problems, seed=asked.seed, stream=STEERED
        )
    if settings.erasure.problems:
        scrubbed, drawn = settings.erasure, {"family": family, "seed": settings.erasure.seed, "stream": "erasure"}
        sets[ERASED_FIT] = ProblemSetSettings(**drawn, num_problems=scrubbed.fit_problems)
        sets[ERASED] = ProblemSetSettings(**drawn, law="exact", op=family.op_max, split="test", num_problems=scrubbed.problems)
    if settings.regret.problems:
        sets[REGRETTED] = ProblemSetSettings(family=family, num_problems=probes.num_problems, seed=settings.regret.seed, stream=REGRETTED)
    return sets
