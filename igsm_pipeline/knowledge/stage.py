"""The stage ``probe_controls`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import FORWARD, asked_problems, network_behind, queries_of, shared_length
from igsm_pipeline.knowledge.settings import ProbeControlSettings
from igsm_pipeline.probes.stage import METRICS, NUMBER, PROBLEMS, SLICE
from igsm_pipeline.queries.stage import TASK
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, with_interval
from igsm_pipeline.store import Unit

BATCHES = "batches of problems"
READER = Column(
    "reader",
    "string",
    "v_probe; random: the same on random weights; text: trees on the text, no model; control_task: taught a random function of what the query says; "
    "no_layers: on the embeddings alone; permuted: taught the answers to other queries",
)
CONTROLLED = Table(
    "probe_controls",
    "is it the model? One row per task, slice and reader: V-probes beside the same probes where there is nothing to read",
    "probe_controls.parquet",
    (
        TASK,
        SLICE,
        READER,
        Column("subset", "string", "all; of control_task also learned: queries whose type occurs among its training queries"),
        NUMBER,
        PROBLEMS,
        *with_interval("accuracy", "share of right answers; of control_task, of the random answers"),
        *with_interval("balanced_accuracy", "mean recall over the classes that occur; of control_task, on the random answers"),
        *with_interval("gain", "balanced accuracy of v_probe minus that of this reader on the same queries; of control_task: selectivity"),
    ),
    result=True,
)
CODED = Table(
    "description_length",
    "bits that the answers to the training queries cost with the online code: one row per task, reader and share of the queries",
    "description_length.parquet",
    (
        TASK,
        Column("reader", "string", f"{READER.meaning}; shares: no probe, only how often each answer has come"),
        Column("share", "double", "of the queries, from the first that the training reads; 1: all of them"),
        NUMBER,
        Column("bits", "double", "that their answers cost"),
        Column("uniform", "double", "bits of a code that knows nothing: the logarithm of the number of answers for each"),
        *with_interval("compression", "uniform by bits", BATCHES),
        *with_interval("longer", "bits per query more than v_probe needs for the same batches (of control_task: for other answers)", BATCHES),
    ),
    result=True,
)

SETS = Table(
    "candidate_sets",
    "does what probes know rest on what they are asked? One row per task, slice, candidate set, reader and subset; no probe is trained again",
    "candidate_sets*.parquet",
    (
        TASK,
        SLICE,
        next(column for column in METRICS.columns if column.name == "candidates"),
        Column("reader", "string", "v_probe; random: the same on random weights; text: trees on the text, no model; majority"),
        Column("subset", "string", "all; necessary, unnecessary: by whether the answer needs parameter A"),
        NUMBER,
        PROBLEMS,
        Column("positives", "int64", "queries with label 1 (value: known)"),
        *with_interval("accuracy", "share of right answers"),
        *with_interval("balanced_accuracy", "mean recall over the classes that occur"),
        *with_interval("gain", "balanced accuracy of v_probe minus that of random on the same queries; null for the others"),
        *with_interval("gain_over_text", "balanced accuracy of v_probe minus that of text on the same queries; null for the others"),
    ),
    result=True,
)


def _work(unit: Unit) -> float:
    """Operations of a forward pass over the documents and queries of every slice, for every V-probe that reads the model, and two per set."""
    sets = unit.settings.get("candidates")
    probes = sum(role.startswith("v_probes") for role in unit.inputs)
    probes += 2 * len(unit.settings["tasks"]) * len(sets["sets"]) if sets else 0
    slices = [one for one in queries_of(unit) if one.settings.get("stream") != "queries probe_train"]
    lengths = [(asked_problems(one), shared_length(unit, one, 1)) for one in slices]
    return probes * sum(number * length * network_behind(unit).forward(length) for number, length in lengths)


STAGE = Stage(
    name="probe_controls",
    version=1,
    settings=ProbeControlSettings,
    write="igsm_pipeline.knowledge.write:write_probe_controls",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="Is it the model? V-probes beside a control task, permuted answers, no layers, random weights and the text, and their description length.",
    reads=(
        Read("world"),
        Read("problems", "problem_sets"),
        Read("queries", "probe_queries"),
        Read("model", "checkpoint"),
        Read("model", "control"),
        Read("v_probes"),
        Read("text_probes"),
    ),
    tables=(CONTROLLED, CODED, SETS),
    checks=(
        Check(
            "permuted_is_chance",
            "A probe that is taught the answers to other queries finds out nothing.",
            "igsm_pipeline.knowledge.checks:permuted_is_chance",
            blocking=False,
        ),
    ),
    disk=lambda unit: 1e5 * len(unit.settings["tasks"]),
    work=_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes + 1e9,
    torch=True,
)
