"""The tables and views of the catalog, each with its columns and their meanings.

Most follow from the tables that the stages declare: results become tables of the catalog, and large tables become views over the files.
The summaries below are tables, too. ``catalog.catalog`` makes the DuckDB file. Each has the column ``experiment``, the key of the member
whose unit it reads ("mini", "depth_med.size=GPT2-4-21"). If two members share a unit, it appears under both.
"""

from __future__ import annotations

from dataclasses import dataclass

from igsm_pipeline.planning.flow import STAGES
from igsm_pipeline.stage import Column, Stage, Table, with_interval

_TYPES = {"bool": "BOOLEAN", "string": "VARCHAR", "float": "DOUBLE", "double": "DOUBLE", "int64": "BIGINT", "uint32": "BIGINT", "uint64": "UBIGINT"}
"""DuckDB's types for Arrow's; smaller integers are INTEGER."""


@dataclass(frozen=True)
class Summary:
    """A table of the catalog that a query makes from earlier tables and views."""

    name: str
    meaning: str
    sql: str
    columns: tuple[Column, ...]


def _column(name: str, sql_type: str, meaning: str) -> Column:
    return Column(name, "", meaning, sql_type=sql_type)


def view_type(column: Column) -> str:
    """The type of a column in the catalog."""
    return column.sql_type or _TYPES.get(column.type, "INTEGER")


def view_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a table in the catalog, the experiment first."""
    return (EXPERIMENT, *(column for column in table.columns if column.shown))


def file_tables() -> list[tuple[Stage, Table]]:
    """Every declared table that the catalog has, with the stage that writes it, in the order of the data flow."""
    return [(stage, table) for stage in STAGES.values() for table in stage.tables if table.view]


EXPERIMENT = _column("experiment", "VARCHAR", "key of the experiment's member")

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
    _column("n", "BIGINT", "problems"),
    _column("correct", "BIGINT", "of them fully correct"),
    _column("accuracy", "DOUBLE", "fully correct share: every step and the answer"),
    _column("low", "DOUBLE", "low end of its 95% interval (Wilson)"),
    _column("high", "DOUBLE", "high end of its 95% interval (Wilson)"),
    _column("answer_accuracy", "DOUBLE", "share of right final answers, whatever the steps"),
    _column("finished", "DOUBLE", "share of closed answers"),
)

SUMMARIES: tuple[Summary, ...] = (
    Summary(
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
            _column("slice", "VARCHAR", "op<=max, op=max, op=max+1, ..., reask; op=K for single ops"),
            _column("beams", "INTEGER", "beams of the search; 1 is greedy, or drawn (evaluation.temperature)"),
            _column("op", "INTEGER", "K in rows of a single op, else null"),
            *_COUNTS,
        ),
    ),
    Summary(
        "verdict_counts",
        "one row per slice, number of operations and first error (null where correct): solutions counted",
        """
        SELECT experiment, slice, beams, op, error, count(*) AS n, count(*) FILTER (final_answer_correct) AS right_answers
        FROM verdicts GROUP BY ALL ORDER BY experiment, beams, slice, op, n DESC, error""",
        (
            EXPERIMENT,
            _column("slice", "VARCHAR", "evaluation slice"),
            _column("beams", "INTEGER", "beams of the search; 1 is greedy, or drawn (evaluation.temperature)"),
            _column("op", "INTEGER", "operations of the problem"),
            _column("error", "VARCHAR", "first error; null where every step holds and the answer is right"),
            _column("n", "BIGINT", "solutions"),
            _column("right_answers", "BIGINT", "of them with the right answer, whatever the steps"),
        ),
    ),
    Summary(
        "redundancy",
        "figure 4: what fully correct solutions compute without need, per slice",
        """
        SELECT experiment, slice, beams, count(*) AS n, avg(unnecessary_operations) AS operations, avg(unnecessary_parameters) AS parameters,
               1.959964 * stddev_samp(unnecessary_operations) / sqrt(count(*)) AS operations_margin,
               1.959964 * stddev_samp(unnecessary_parameters) / sqrt(count(*)) AS parameters_margin
        FROM verdicts WHERE correct GROUP BY ALL ORDER BY experiment, beams, slice""",
        (
            EXPERIMENT,
            _column("slice", "VARCHAR", "evaluation slice"),
            _column("beams", "INTEGER", "beams of the search; 1 is greedy, or drawn (evaluation.temperature)"),
            _column("n", "BIGINT", "fully correct solutions"),
            _column("operations", "DOUBLE", "unnecessary operations per solution"),
            _column("parameters", "DOUBLE", "unnecessary parameters per solution"),
            _column("operations_margin", "DOUBLE", "half width of the 95% interval of operations"),
            _column("parameters_margin", "DOUBLE", "half width of the 95% interval of parameters"),
        ),
    ),
    Summary(
        "probe_table",
        "one row per task and slice: balanced accuracy of the V-probe, of the linear probe at its chosen layer, and of their controls",
        f"""
        SELECT experiment, task, subset, slice, candidates, max(n) AS n, max(num_problems) AS num_problems, {_SCORE_SQL},
               max(layer) FILTER (probe = 'linear') AS linear_layer, max(balanced_accuracy) FILTER (probe = 'majority') AS majority, {_GAIN_SQL}
        FROM probe_metrics WHERE op IS NULL AND subset IN ('all', 'known') AND chosen IS NOT FALSE
        GROUP BY ALL ORDER BY experiment, subset, task, slice""",
        (
            EXPERIMENT,
            _column("task", "VARCHAR", "nece, dep, known, value, can_next or nece_next"),
            _column("subset", "VARCHAR", "all; known: value given that it is known"),
            _column("slice", "VARCHAR", "evaluation slice"),
            _column("candidates", "VARCHAR", "candidate set: graph, existing, text or all"),
            _column("n", "BIGINT", "queries"),
            _column("num_problems", "BIGINT", "problems they belong to"),
            *(column for name, meaning in _COMPARED.items() for column in with_interval(name, f"balanced accuracy of {meaning}")),
            _column("linear_layer", "INTEGER", "layer of the linear probe, chosen on held-out training problems"),
            _column("majority", "DOUBLE", "balanced accuracy of the majority guess"),
            *with_interval("gain", "balanced accuracy of the V-probe less that of its control on the same queries"),
        ),
    ),
    Summary(
        "shards",
        "one row per token set",
        """
        SELECT experiment, name AS set, CAST(counts->>'tokens' AS BIGINT) AS tokens, CAST(counts->>'windows' AS BIGINT) AS windows,
               CAST(counts->>'problems' AS BIGINT) AS problems, bytes, seconds, folder
        FROM units WHERE stage = 'token_shards'""",
        (
            EXPERIMENT,
            _column("set", "VARCHAR", "problem set that was tokenised"),
            _column("tokens", "BIGINT", "real tokens, padding left out"),
            _column("windows", "BIGINT", "windows"),
            _column("problems", "BIGINT", "problems laid into them"),
            _column("bytes", "BIGINT", "on disk"),
            _column("seconds", "DOUBLE", "it took"),
            _column("folder", "VARCHAR", "unit folder, relative to the data root"),
        ),
    ),
    Summary(
        "checkpoints",
        "one row per trained model; what training counted is in counts",
        """
        SELECT experiment, CAST(counts->>'steps' AS BIGINT) AS steps, CAST(counts->>'tokens' AS BIGINT) AS tokens,
               CAST(counts->>'parameters' AS BIGINT) AS parameters, CAST(counts->>'loss' AS DOUBLE) AS loss,
               seconds, finished, counts, settings, folder
        FROM units WHERE stage = 'checkpoint'""",
        (
            EXPERIMENT,
            _column("steps", "BIGINT", "optimizer steps"),
            _column("tokens", "BIGINT", "tokens trained on"),
            _column("parameters", "BIGINT", "weights of the model"),
            _column("loss", "DOUBLE", "last training loss"),
            _column("seconds", "DOUBLE", "it took"),
            _column("finished", "VARCHAR", "when, UTC"),
            _column("counts", "JSON", "everything that training counted"),
            _column("settings", "JSON", "of model and training"),
            _column("folder", "VARCHAR", "unit folder, relative to the data root"),
        ),
    ),
)
"""Tables made from the declared ones and from the table ``units``."""
