"""The stage ``emergence`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import BACKWARD, FORWARD, document_tokens, mean_op, network_behind, probe_steps, problems_behind, queries_of, shared_length
from igsm_pipeline.emergence.settings import EmergenceSettings
from igsm_pipeline.stage import Column, Read, Stage, Table, with_interval
from igsm_pipeline.store import Unit
from igsm_pipeline.training.snapshots import snapshot_steps

MEASURE = Column("measure", "string", "solved: fully correct solutions; or the task of a V-probe: balanced accuracy")
OP = Column("op", "int32", "operations of the problems; null: all of them, and probes")
CURVES = Table(
    "emergence",
    "when does it come? One row per snapshot of the training, and per number of operations or task",
    "emergence.parquet",
    (
        MEASURE,
        OP,
        Column("step", "int64", "training steps behind the snapshot"),
        Column("tokens", "int64", "training tokens behind it"),
        Column("n", "int64", "problems, or queries"),
        Column("num_problems", "int64", "problems that they belong to"),
        *with_interval("value", "share of right solutions, or balanced accuracy"),
    ),
    result=True,
)
HALF_GAINS = Table(
    "half_gains",
    "the tokens at which half of the final gain is reached: one row per number of operations or task",
    "half_gains.parquet",
    (
        MEASURE,
        OP,
        Column("num_problems", "int64", "problems"),
        *with_interval("gain", "value of the last snapshot minus that of the first"),
        *with_interval("tokens", "training tokens at which half of it is reached; null where the gain may be none"),
    ),
    result=True,
)


def _work(unit: Unit) -> float:
    """Operations of training the probes, of asking them, and of solving the problems, at every snapshot."""
    network, asked = network_behind(unit), queries_of(unit)
    length = max(shared_length(unit, one, 1) for one in asked)
    steps = probe_steps(unit.settings) * int(unit.settings["batch_problems"]) * (1 + BACKWARD / 2)
    probes = len(unit.settings["tasks"]) * (steps + 512) * length * network.forward(length)
    document = document_tokens(unit.settings["tokens"], mean_op(unit.settings))
    solved = problems_behind(unit) * document * network.forward(document, head=True)
    checkpoint = next(one for one in unit.inputs.values() if one.stage == "checkpoint")
    training = checkpoint.settings["training"]
    return len(snapshot_steps(int(training["num_steps"]), training["snapshots"])) * (probes + solved)


STAGE = Stage(
    name="emergence",
    version=1,
    settings=EmergenceSettings,
    write="igsm_pipeline.emergence.write:write_emergence",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="When does it come? Snapshots of the training solve problems and are probed with one small budget; tokens at half of each gain.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("queries", "probe_queries"), Read("checkpoint")),
    tables=(CURVES, HALF_GAINS),
    disk=lambda unit: 4e6,
    work=_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes + 1e9,
    torch=True,
)
