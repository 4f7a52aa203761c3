"""The stage ``probe_queries``: what is asked of a model's state."""

from __future__ import annotations

from igsm_pipeline.costs import queries_behind
from igsm_pipeline.queries.settings import QuerySetSettings
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, derived

TASK = Column("task", "string", "nece, dep, known, value, can_next or nece_next")
KEY = (
    Column("problem", "int32", "row of the problem in its set, from 0"),
    TASK,
    Column("position", "int16", "solution sentences read; 0 is the end of the question"),
    Column("parameter", "uint8", "code of parameter A in its problem"),
    Column("parameter_b", "uint8", "code of parameter B (dep); 255 for other tasks"),
)
"""What tells queries apart."""
LABEL = Column("label", "int16", "the truth: 0 or 1; for value 0..M-1, and M where the value is not known yet")

QUERIES = Table(
    "queries",
    "one row per probe query",
    "queries-*.parquet",
    (
        derived("set", "VARCHAR", "problem set: probe_train or a slice", "u.name"),
        *KEY,
        LABEL,
        Column("distance", "uint8", "shortest dependency path from the query to A; null for unnecessary A"),
        Column("depth", "uint8", "longest dependency path that starts at A"),
        Column("necessary", "bool", "A is necessary for the answer"),
        Column("known", "bool", "A is computed at this position"),
        Column("op", "uint8", "operations of the problem"),
        Column("candidates", "string", "candidate set: graph, existing, text or all"),
    ),
)

STAGE = Stage(
    name="probe_queries",
    version=2,
    settings=QuerySetSettings,
    write="igsm_pipeline.queries.write:write_queries",
    group="mind",
    kinds=("numba", "parquet"),
    words="What is asked of the model's states: nece, dep, known, value, can_next and nece_next, each with its label and where it is read.",
    reads=(Read("world"), Read("problems", "problem_sets")),
    tables=(QUERIES,),
    checks=(
        Check("labels_of_both_kinds", "Training queries hold more than one label.", "igsm_pipeline.queries.checks:labels_of_both_kinds"),
        Check("label_shares", "Labels come in the shares of the declared draw.", "igsm_pipeline.queries.checks:label_shares"),
        Check("probed_apart", "No problem is on both sides of the probes' split.", "igsm_pipeline.queries.checks:probed_apart"),
    ),
    disk=lambda unit: 12.0 * queries_behind([unit]),
    work=lambda unit: 1e-5 * queries_behind([unit]),
    parallel=True,
    yields=True,
)
