"""The stage ``problem_sets``: problems by the paper's law."""

from __future__ import annotations

from igsm_pipeline.problems.settings import ProblemSetSettings
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, derived
from igsm_pipeline.store import Unit


def _disk(unit: Unit) -> float:
    op = unit.settings["op"] or unit.settings["family"]["op_max"]
    return float(unit.settings["num_problems"]) * (20 + 12 * float(op))


def _kept(name: str, type_: str, meaning: str) -> Column:
    """A column of the file that the view leaves out."""
    return Column(name, type_, meaning, shown=False)


PROBLEMS = Table(
    "problems",
    "one row per problem of a problem set, as arrays; see igsm_pipeline.problems.anatomy for the parameter ids",
    "problems-*.parquet",
    (
        derived("set", "VARCHAR", "problem set: train, monitor, probe_train or a slice", "u.name"),
        derived("problem", "INTEGER", "row in its set, from 0", "CAST(u.settings->>'block_size' AS BIGINT) * block + slot"),
        _kept("block", "uint32", "running number of the block that it was drawn in"),
        _kept("slot", "uint32", "place in the block"),
        _kept("draw", "uint32", "which proposal of the block it was"),
        Column("op", "uint8", "operations of the necessary part"),
        Column("template_bin", "uint8", "template hash mod 23"),
        _kept("split_bin", "uint8", "the hash that train and test are split by, mod 23"),
        Column("hierarchy", "uint8", "0 to 3"),
        Column("first_layer", "uint8", "of the hierarchy, the problem's top layer"),
        _kept("widths", "", "items per layer, 0 for absent layers"),
        _kept("subcategory", "", "sub-category of each layer"),
        _kept("items", "", "index of each item within its sub-category"),
        _kept("children", "", "bit k: item (i, j) holds item (i+1, k)"),
        _kept("parents", "", "ids of the parents of each instance parameter, in operand order"),
        _kept("form", "", "how each instance parameter's expression is built"),
        _kept("constant", "", "the random number of each instance parameter's expression"),
        Column("num_necessary", "uint8", "necessary parameters"),
        derived("num_statements", "INTEGER", "instance parameters", "len(list_filter(statement_order, lambda x: x <> 255))"),
        Column(
            '"order"',
            "",
            "ids of the necessary parameters in solution order",
            'list_filter("order", lambda x: x <> 255)',
            "INTEGER[]",
        ),
        Column("graph", "int64", "bit mask of the parameters of the dependency graph", sql_type="UBIGINT"),
        _kept("values", "", "value of every existing parameter"),
        _kept("statement_order", "", "instance ids in text order; 255 pads"),
        _kept("symbols", "", "letters of the solution by first appearance"),
    ),
)

STAGE = Stage(
    name="problem_sets",
    version=1,
    settings=ProblemSetSettings,
    write="igsm_pipeline.problems.write:write_problem_set",
    group="data",
    kinds=("numba", "parquet"),
    words="iGSM problems by the paper's law: the training set, one set per evaluation slice, one to train probes on; split by solution template.",
    reads=(Read("world"), Read("own_problems")),
    tables=(PROBLEMS,),
    checks=(
        Check("op_histogram", "Ops are those asked for, in every file of every set.", "igsm_pipeline.problems.checks:op_histogram"),
        Check(
            "ops_mixed",
            "Ops of neighbours are independent: no window or batch holds one level by accident of order.",
            "igsm_pipeline.problems.checks:ops_mixed",
        ),
        Check("split_disjoint", "No hash bin occurs both in training and in test sets.", "igsm_pipeline.problems.checks:split_disjoint"),
        Check("no_repeats", "No problem is there twice by its key; repeats by content are counted.", "igsm_pipeline.problems.checks:no_repeats"),
        Check("gold_solutions_verify", "The verifier accepts the reference solutions.", "igsm_pipeline.verification.checks:gold_solutions_verify"),
    ),
    disk=_disk,
    work=lambda unit: float(unit.settings["num_problems"]) * (2e-5 + 6e-6 * float(unit.settings["op"] or unit.settings["family"]["op_max"])),
    summary="igsm_pipeline.reports.stage_tables:problem_sets",
    plots="igsm_pipeline.reports.stage_plots:problem_sets",
    workers=True,
    yields=True,
)
