"""The units of the stage ``regret``."""

from __future__ import annotations

from igsm_pipeline.experiments.problem_sets import REGRETTED, TRAIN
from igsm_pipeline.generations.stage import STAGE as GENERATIONS
from igsm_pipeline.planning.wiring import RECIPE, Wiring, evaluations
from igsm_pipeline.probes.settings import VProbeSettings
from igsm_pipeline.problems.stage import STAGE as PROBLEM_SETS
from igsm_pipeline.regret.settings import RegretSettings
from igsm_pipeline.regret.stage import STAGE as REGRET
from igsm_pipeline.stage import Role
from igsm_pipeline.verification.stage import STAGE as VERDICTS


def wire_regret(wiring: Wiring) -> None:
    """Add the probe of regret and what retrying upon it brings, over all slices, if the experiment asks for it."""
    asked, evaluation, probes = wiring.settings.regret, wiring.settings.evaluation, wiring.settings.probes
    if not (asked.problems and evaluation.slices):
        return
    inputs = {**wiring.world, Role("checkpoint"): wiring.model("trained"), Role("problems", TRAIN): wiring.one(PROBLEM_SETS, REGRETTED)}
    for part, beam, name in evaluations(wiring.settings):
        role = part if beam == 1 else name
        inputs[Role("problems", part)] = wiring.one(PROBLEM_SETS, part)
        inputs |= {Role("generations", role): wiring.one(GENERATIONS, name), Role("verdicts", role): wiring.one(VERDICTS, name)}
    recipe = VProbeSettings(**wiring.common, task="can_next", **{name: getattr(probes, name) for name in RECIPE})
    retried = RegretSettings(
        **wiring.common,
        recipe=recipe,
        per_problem=probes.per_problem,
        slices=evaluation.slices,
        problems=asked.problems,
        tries=asked.tries,
        max_tokens=evaluation.max_tokens,
        seed=asked.seed,
    )
    wiring.add(REGRET, "regret", retried, inputs)
