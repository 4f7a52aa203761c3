"""The stage ``error_correlation`` as declared."""

from __future__ import annotations

from igsm_pipeline.correlation.settings import CorrelationSettings
from igsm_pipeline.costs import FORWARD, document_tokens, mean_op, network_behind, problems_behind
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, with_interval
from igsm_pipeline.store import Unit

_SLICE = Column("slice", "string", "evaluation slice; all: all slices together")


def _work(unit: Unit) -> float:
    """Operations of a forward pass over every solution, once per task."""
    tasks = sum(role.startswith("v_probes") for role in unit.inputs)
    length = document_tokens(unit.settings["tokens"], mean_op(unit.settings))
    return problems_behind(unit) * length * tasks * network_behind(unit).forward(length)


CORRELATION = Table(
    "error_correlation",
    "figure 8: one row per figure (a, b), task and slice; in the slice all, every slice together",
    "correlation.parquet",
    (
        Column("figure", "string", "a: unnecessary parameters of correct solutions; b: first wrong parameters of wrong ones"),
        Column("task", "string", "nece (a); can_next, nece_next (b)"),
        _SLICE,
        Column("solutions", "int64", "solutions of the kind: correct with unnecessary parameters (a), wrong (b)"),
        Column("n", "int64", "events: parameters that the model computed although their label is false"),
        Column("num_problems", "int64", "solutions with an event"),
        Column("rate", "double", "share of events about which the probe also says true"),
        Column("low", "double", "low end of its 95% interval, problems resampled"),
        Column("high", "double", "high end of its 95% interval, problems resampled"),
        Column("baseline_n", "int64", "other queries of these solutions at the same place whose label is false"),
        Column("baseline_rate", "double", "share of them about which the probe says true"),
        Column("baseline_low", "double", "low end of its 95% interval, problems resampled"),
        Column("baseline_high", "double", "high end of its 95% interval, problems resampled"),
        *with_interval("excess", "rate minus baseline_rate; both from the same resamples"),
        Column("matched_n", "int64", "events with other false parameters to be matched by: not computed, as many missing sources, as necessary"),
        *with_interval("matched_rate", "rate over these events"),
        *with_interval("matched_baseline", "rate over what they are matched by, every group weighted by its events"),
        *with_interval("matched_excess", "matched_rate minus matched_baseline; both from the same resamples"),
        Column("accuracy", "double", "of the probe, on all queries of these solutions at this place except the events"),
    ),
    result=True,
)
PREDICTOR = Table(
    "mistake_predictor",
    "one row per target, slice and feature set: whether the solution will be wrong, predicted at the end of the question",
    "mistake_predictor.parquet",
    (
        Column("target", "string", "wrong: not fully correct; redundant: correct, with unnecessary parameters"),
        _SLICE,
        Column(
            "features", "string", "features of the predictor: probes, op, length, op+length, surface (and the number of candidates), surface+probes"
        ),
        Column("n", "int64", "solutions"),
        Column("positives", "int64", "solutions with the target"),
        *with_interval(
            "auroc", "area under the ROC curve, within folds; null if too few solutions have or lack the target, or the features are constant"
        ),
        *with_interval("gain", "surface+probes: its AUROC minus that of surface; both from the same resamples"),
    ),
    result=True,
)
EVENTS = Table(
    "mistake_events",
    "the model's mistakes: one row per event and task, with the probe's answer (the true answer is always no)",
    "events.parquet",
    (
        Column("figure", "string", "a: an unnecessary parameter of a correct solution; b: the first wrong parameter of a wrong one"),
        Column("task", "string", "nece (a); can_next, nece_next (b)"),
        Column("slice", "string", "evaluation slice"),
        Column("problem", "int32", "row of the problem in its set, from 0"),
        Column("position", "int16", "number of solution sentences read; 0 is the end of the question"),
        Column("parameter", "uint8", "code of the parameter in its problem"),
        Column("prediction", "int16", "the class that the probe predicts"),
        Column("score", "float", "probability of true"),
    ),
)

STAGE = Stage(
    name="error_correlation",
    version=3,
    settings=CorrelationSettings,
    write="igsm_pipeline.correlation.write:write_correlation",
    group="mind",
    kinds=("python", "parquet"),
    words="Do mistakes show in the model's states before they show in its text? Wrong and unnecessary steps beside the probes' answers (figure 8).",
    reads=(
        Read("world"),
        Read("checkpoint"),
        Read("problems", "problem_sets"),
        Read("generations"),
        Read("verdicts"),
        Read("v_probes"),
    ),
    tables=(CORRELATION, PREDICTOR, EVENTS),
    checks=(Check("counts_agree", "Counts agree with verdicts and events.", "igsm_pipeline.correlation.checks:counts_agree"),),
    disk=lambda unit: 1e5,
    work=_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes,
    summary="igsm_pipeline.reports.stage_tables:error_correlation",
    torch=True,
)
