"""What can be asked of a store in SQL: the views of the catalog, each with its columns and their meaning.

A view reads Parquet files where they lie; ``reports.catalog`` makes the DuckDB file that holds them. Every view has ``experiment``: the key of the
member whose unit it reads ("mini", "depth_med.size=GPT2-4-21"). A unit that two members share appears under both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: its name, DuckDB type, meaning, and the expression that makes it (default: the file's column of that name)."""

    name: str
    type: str
    meaning: str
    source: str = ""


@dataclass(frozen=True)
class FileView:
    """A view over one kind of file.

    Attributes:
        name: of the view.
        meaning: one row per what.
        stages: whose units hold the files.
        files: glob within a unit folder.
        columns: beside ``experiment``. A ``source`` may use the file's columns and ``u.name``, ``u.settings``, ``u.stage`` of the unit.
    """

    name: str
    meaning: str
    stages: tuple[str, ...]
    files: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class QueryView:
    """A view over other views."""

    name: str
    meaning: str
    sql: str
    columns: tuple[Column, ...]


def _interval(name: str, meaning: str) -> tuple[Column, ...]:
    ends = (Column(f"{name}_{end}", "DOUBLE", f"{end} end of its 95% interval, problems resampled") for end in ("low", "high"))
    return (Column(name, "DOUBLE", meaning), *ends)


_SLICE = Column("slice", "VARCHAR", "evaluation slice (op<=max, op=max, ..., reask, by_op)", "regexp_replace(u.name, ' beam [0-9]+$', '')")
_BEAMS = Column("beams", "INTEGER", "beams of the search; 1 is greedy", "regexp_extract(u.name, ' beam ([0-9]+)$', 1)")
_PROBLEM = Column("problem", "INTEGER", "row of the problem in its set, from 0")
_KEY = (
    _PROBLEM,
    Column("task", "VARCHAR", "nece, dep, known, value, can_next or nece_next"),
    Column("position", "INTEGER", "solution sentences read; 0 is the end of the question"),
    Column("parameter", "INTEGER", "code of parameter A in its problem"),
    Column("parameter_b", "INTEGER", "code of parameter B (dep); 255 for other tasks"),
    Column("label", "INTEGER", "the truth: 0 or 1; for value 0..M-1, and M where the value is not known yet"),
)
_FLAGS = (
    Column("op", "INTEGER", "operations of the problem"),
    Column("necessary", "BOOLEAN", "A is necessary for the answer"),
    Column("distance", "INTEGER", "shortest dependency path from the query to A; null for unnecessary A"),
)
_PROBE = (
    Column("probe", "VARCHAR", "v_probe, linear; their controls on a random model: random, linear_random; majority guess: majority"),
    Column("layer", "INTEGER", "whose states are read, 0 is the embedding; null for V-probes (last layer) and the majority"),
)
_CHOSEN = Column(
    "chosen", "BOOLEAN", "the layer that stands for a linear probe, chosen on held-out training problems; null where nothing was to choose"
)

FILE_VIEWS: tuple[FileView, ...] = (
    FileView(
        "problems",
        "one row per problem of a problem set, as arrays; see igsm_pipeline.problems.record for the parameter ids",
        ("problem_sets",),
        "problems-*.parquet",
        (
            Column("set", "VARCHAR", "problem set: train, monitor, probe_train or a slice", "u.name"),
            Column("problem", "INTEGER", "row in its set, from 0", "CAST(u.settings->>'block_size' AS BIGINT) * block + slot"),
            Column("op", "INTEGER", "operations of the necessary part"),
            Column("template_bin", "INTEGER", "template hash mod 23"),
            Column("hierarchy", "INTEGER", "0 to 3"),
            Column("first_layer", "INTEGER", "of the hierarchy, the problem's top layer"),
            Column("num_necessary", "INTEGER", "necessary parameters"),
            Column("num_statements", "INTEGER", "instance parameters", "len(list_filter(statement_order, lambda x: x <> 255))"),
            Column("graph", "UBIGINT", "bit mask of the parameters of the dependency graph"),
            Column('"order"', "INTEGER[]", "ids of the necessary parameters in solution order", 'list_filter("order", lambda x: x <> 255)'),
        ),
    ),
    FileView(
        "generations",
        "one row per solution that a model wrote",
        ("generations",),
        "generations.parquet",
        (
            _SLICE,
            _BEAMS,
            _PROBLEM,
            Column("prompt_tokens", "INTEGER", "tokens of the prompt"),
            Column("completion_tokens", "INTEGER", "tokens written", "len(tokens)"),
            Column("finished", "BOOLEAN", "the model closed its answer"),
            Column("text", "VARCHAR", "solution and answer"),
        ),
    ),
    FileView(
        "verdicts",
        "one row per solution that a model wrote, judged",
        ("verdicts",),
        "verdicts.parquet",
        (
            _SLICE,
            _BEAMS,
            _PROBLEM,
            Column("op", "INTEGER", "operations of the problem"),
            Column("correct", "BOOLEAN", "every step holds and the answer is right"),
            Column("error", "VARCHAR", "first error; null where correct"),
            Column("sentence", "INTEGER", "index of the sentence with the first error, from 0"),
            Column("parameter", "VARCHAR", "name of the parameter that it is about"),
            Column("final_answer_correct", "BOOLEAN", "the answer alone is right"),
            Column("unnecessary_parameters", "INTEGER", "defined without need"),
            Column("unnecessary_operations", "INTEGER", "steps beyond the shortest solution"),
            Column("finished", "BOOLEAN", "the model closed its answer"),
            Column("completion_tokens", "INTEGER", "tokens written"),
        ),
    ),
    FileView(
        "queries",
        "one row per probe query",
        ("probe_queries",),
        "queries-*.parquet",
        (
            Column("set", "VARCHAR", "problem set: probe_train or a slice", "regexp_replace(u.name, '^[a-z_]+ ', '')"),
            *_KEY,
            *_FLAGS,
            Column("depth", "INTEGER", "longest dependency path that starts at A"),
            Column("known", "BOOLEAN", "A is computed at this position"),
            Column("candidates", "VARCHAR", "candidate set: graph, existing, text or all"),
        ),
    ),
    FileView(
        "predictions",
        "one row per query and probe",
        ("probe_scores",),
        "predictions.parquet",
        (
            Column("slice", "VARCHAR", "evaluation slice"),
            *_PROBE,
            *_KEY,
            Column("prediction", "INTEGER", "what the probe says"),
            Column("score", "DOUBLE", "probability of label 1; for value that of the predicted class"),
            *_FLAGS,
        ),
    ),
    FileView(
        "probe_metrics",
        "one row per task, probe, layer, slice and subset of its queries",
        ("probe_scores",),
        "metrics.parquet",
        (
            Column("task", "VARCHAR", "nece, dep, known, value, can_next or nece_next"),
            *_PROBE,
            _CHOSEN,
            Column("candidates", "VARCHAR", "candidate set: graph, existing, text or all"),
            Column("slice", "VARCHAR", "evaluation slice"),
            Column("subset", "VARCHAR", "all, necessary, unnecessary, known"),
            Column("op", "INTEGER", "null: all operations together"),
            Column("n", "BIGINT", "queries"),
            Column("num_problems", "BIGINT", "problems they belong to"),
            Column("positives", "BIGINT", "queries with label 1 (value: known)"),
            Column("negatives", "BIGINT", "the others"),
            *_interval("accuracy", "share of right predictions"),
            *_interval("balanced_accuracy", "mean recall over the classes that occur"),
            *_interval("mcc", "Matthews' correlation"),
            *_interval("auroc", "area under the ROC curve; null for value"),
            Column("accuracy_positive", "DOUBLE", "accuracy on positives"),
            Column("accuracy_negative", "DOUBLE", "accuracy on negatives"),
            Column("ece", "DOUBLE", "expected calibration error, 15 bins"),
            *_interval("balanced_accuracy_gain", "balanced accuracy less that of the random control on the same queries"),
        ),
    ),
    FileView(
        "layer_distance",
        "figures 10 and 14: one row per probe, layer, slice and distance; nece on necessary parameters",
        ("probe_scores",),
        "distances.parquet",
        (
            *_PROBE,
            Column("slice", "VARCHAR", "evaluation slice"),
            Column("distance", "INTEGER", "shortest dependency path from the query, 1 to 8"),
            Column("n", "BIGINT", "queries"),
            Column("num_problems", "BIGINT", "problems they belong to"),
            *_interval("accuracy", "share of necessary parameters that the probe calls necessary"),
        ),
    ),
    FileView(
        "error_correlation",
        "figure 8: one row per figure (a, b), task and slice; slice all takes every slice together",
        ("error_correlation",),
        "correlation.parquet",
        (
            Column("figure", "VARCHAR", "a: unnecessary parameters of correct solutions; b: first wrong parameters of wrong ones"),
            Column("task", "VARCHAR", "nece (a); can_next, nece_next (b)"),
            Column("slice", "VARCHAR", "evaluation slice"),
            Column("solutions", "BIGINT", "solutions of the kind"),
            Column("n", "BIGINT", "events: parameters whose label is false and that the model computed all the same"),
            Column("num_problems", "BIGINT", "solutions that they stand in"),
            Column("rate", "DOUBLE", "share of events of which the probe, too, says true"),
            Column("low", "DOUBLE", "low end of its 95% interval, problems resampled"),
            Column("high", "DOUBLE", "high end of its 95% interval, problems resampled"),
            Column("baseline_n", "BIGINT", "other false queries of these solutions at the same place"),
            Column("baseline_rate", "DOUBLE", "share of them of which the probe says true"),
            Column("baseline_low", "DOUBLE", "low end of its 95% interval, problems resampled"),
            Column("baseline_high", "DOUBLE", "high end of its 95% interval, problems resampled"),
            *_interval("excess", "rate less baseline_rate"),
            Column("accuracy", "DOUBLE", "of the probe on all queries of these solutions at this place but the events"),
        ),
    ),
    FileView(
        "mistake_predictor",
        "one row per target, slice and feature set: will the solution be wrong, asked at the end of the question",
        ("error_correlation",),
        "mistake_predictor.parquet",
        (
            Column("target", "VARCHAR", "wrong: not fully correct; redundant: correct, with unnecessary parameters"),
            Column("slice", "VARCHAR", "evaluation slice; all: every slice together"),
            Column("features", "VARCHAR", "what the predictor sees: probes, op, length, op+length, probes+op+length"),
            Column("n", "BIGINT", "solutions"),
            Column("positives", "BIGINT", "of them with the target"),
            *_interval("auroc", "area under the ROC curve, out of fold; null where there are too few of either kind"),
        ),
    ),
    FileView(
        "mental_state",
        "the dense map: one row per problem, task, position and parameter, with what the V-probe says at every step",
        ("probe_scores",),
        "mental_state*.parquet",
        (
            Column("slice", "VARCHAR", "evaluation slice"),
            *_KEY,
            Column("name", "VARCHAR", "of parameter A"),
            Column("prediction", "INTEGER", "what the probe says"),
            Column("score", "DOUBLE", "probability of label 1; for value that of the predicted class"),
        ),
    ),
)
"""Views that read files, one row of the file each."""

EXPERIMENT = Column("experiment", "VARCHAR", "key of the experiment's member")

_COMPARED = {
    "v_probe": "the V-probe",
    "linear": "the linear probe at its chosen layer",
    "random": "the V-probe on random weights",
    "linear_random": "the linear probe on random weights",
}
_ENDS = ("", "_low", "_high")
_SCORE_SQL = ", ".join(f"max(balanced_accuracy{end}) FILTER (probe = '{name}') AS {name}{end}" for name in _COMPARED for end in _ENDS)
_GAIN_SQL = ", ".join(f"max(balanced_accuracy_gain{end}) FILTER (probe = 'v_probe') AS gain{end}" for end in _ENDS)
_COUNTS = (
    Column("n", "BIGINT", "problems"),
    Column("correct", "BIGINT", "of them fully correct"),
    Column("accuracy", "DOUBLE", "fully correct share: every step and the answer"),
    Column("low", "DOUBLE", "low end of its 95% interval (Wilson)"),
    Column("high", "DOUBLE", "high end of its 95% interval (Wilson)"),
    Column("answer_accuracy", "DOUBLE", "share of right final answers, whatever the steps"),
    Column("finished", "DOUBLE", "share of closed answers"),
)

QUERY_VIEWS: tuple[QueryView, ...] = (
    QueryView(
        "accuracy",
        "figure 3: one row per slice (op null), and one per single op, named op=K, from the balanced set by_op",
        """
        WITH judged AS (
          SELECT experiment, CASE WHEN slice = 'by_op' THEN 'op=' || op ELSE slice END AS slice, beams,
                 CASE WHEN slice = 'by_op' THEN op END AS op, correct, final_answer_correct, finished
          FROM verdicts)
        SELECT experiment, slice, beams, op, count(*) AS n, count(*) FILTER (correct) AS correct, avg(correct::INTEGER) AS accuracy,
               wilson_low(count(*) FILTER (correct), count(*)) AS low, wilson_high(count(*) FILTER (correct), count(*)) AS high,
               avg(final_answer_correct::INTEGER) AS answer_accuracy, avg(finished::INTEGER) AS finished
        FROM judged GROUP BY ALL ORDER BY experiment, beams, op NULLS FIRST, slice""",
        (
            EXPERIMENT,
            Column("slice", "VARCHAR", "op<=max, op=max, op=max+1, ..., reask; op=K for single ops"),
            _BEAMS,
            Column("op", "INTEGER", "K in rows of a single op, else null"),
            *_COUNTS,
        ),
    ),
    QueryView(
        "redundancy",
        "figure 4: what fully correct solutions compute without need, per slice",
        """
        SELECT experiment, slice, beams, count(*) AS n, avg(unnecessary_operations) AS operations, avg(unnecessary_parameters) AS parameters,
               1.959964 * stddev_samp(unnecessary_operations) / sqrt(count(*)) AS operations_margin,
               1.959964 * stddev_samp(unnecessary_parameters) / sqrt(count(*)) AS parameters_margin
        FROM verdicts WHERE correct GROUP BY ALL ORDER BY experiment, beams, slice""",
        (
            EXPERIMENT,
            Column("slice", "VARCHAR", "evaluation slice"),
            _BEAMS,
            Column("n", "BIGINT", "fully correct solutions"),
            Column("operations", "DOUBLE", "unnecessary operations per solution"),
            Column("parameters", "DOUBLE", "unnecessary parameters per solution"),
            Column("operations_margin", "DOUBLE", "half width of the 95% interval of operations"),
            Column("parameters_margin", "DOUBLE", "half width of the 95% interval of parameters"),
        ),
    ),
    QueryView(
        "probe_table",
        "one row per task and slice: balanced accuracy of the V-probe, of the linear probe at its chosen layer, and of their controls",
        f"""
        SELECT experiment, task, subset, slice, candidates, max(n) AS n, max(num_problems) AS num_problems, {_SCORE_SQL},
               max(layer) FILTER (probe = 'linear') AS linear_layer, max(balanced_accuracy) FILTER (probe = 'majority') AS majority, {_GAIN_SQL}
        FROM probe_metrics WHERE op IS NULL AND subset IN ('all', 'known') AND chosen IS NOT FALSE
        GROUP BY ALL ORDER BY experiment, subset, task, slice""",
        (
            EXPERIMENT,
            Column("task", "VARCHAR", "nece, dep, known, value, can_next or nece_next"),
            Column("subset", "VARCHAR", "all; known: value given that it is known"),
            Column("slice", "VARCHAR", "evaluation slice"),
            Column("candidates", "VARCHAR", "candidate set: graph, existing, text or all"),
            Column("n", "BIGINT", "queries"),
            Column("num_problems", "BIGINT", "problems they belong to"),
            *(column for name, meaning in _COMPARED.items() for column in _interval(name, f"balanced accuracy of {meaning}")),
            Column("linear_layer", "INTEGER", "layer of the linear probe, chosen on held-out training problems"),
            Column("majority", "DOUBLE", "balanced accuracy of the majority guess"),
            *_interval("gain", "balanced accuracy of the V-probe less that of its control on the same queries"),
        ),
    ),
    QueryView(
        "shards",
        "one row per token set",
        """
        SELECT experiment, name AS set, CAST(counts->>'tokens' AS BIGINT) AS tokens, CAST(counts->>'windows' AS BIGINT) AS windows,
               CAST(counts->>'problems' AS BIGINT) AS problems, bytes, seconds, folder
        FROM units WHERE stage = 'token_shards'""",
        (
            EXPERIMENT,
            Column("set", "VARCHAR", "problem set that was tokenised"),
            Column("tokens", "BIGINT", "real tokens, padding left out"),
            Column("windows", "BIGINT", "windows"),
            Column("problems", "BIGINT", "problems laid into them"),
            Column("bytes", "BIGINT", "on disk"),
            Column("seconds", "DOUBLE", "it took"),
            Column("folder", "VARCHAR", "unit folder, relative to the data root"),
        ),
    ),
    QueryView(
        "checkpoints",
        "one row per trained model; what training counted is in counts",
        """
        SELECT experiment, CAST(counts->>'steps' AS BIGINT) AS steps, CAST(counts->>'tokens' AS BIGINT) AS tokens,
               CAST(counts->>'parameters' AS BIGINT) AS parameters, CAST(counts->>'loss' AS DOUBLE) AS loss,
               seconds, finished, counts, settings, folder
        FROM units WHERE stage = 'checkpoint'""",
        (
            EXPERIMENT,
            Column("steps", "BIGINT", "optimizer steps"),
            Column("tokens", "BIGINT", "tokens trained on"),
            Column("parameters", "BIGINT", "weights of the model"),
            Column("loss", "DOUBLE", "last training loss"),
            Column("seconds", "DOUBLE", "it took"),
            Column("finished", "VARCHAR", "when, UTC"),
            Column("counts", "JSON", "everything that training counted"),
            Column("settings", "JSON", "of model and training"),
            Column("folder", "VARCHAR", "unit folder, relative to the data root"),
        ),
    ),
)
"""Views over the views above and over the table ``units``."""
