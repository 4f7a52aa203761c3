"""The stage ``activation_cache`` as declared."""

from __future__ import annotations

from igsm_pipeline.activations.settings import ActivationSettings
from igsm_pipeline.costs import FORWARD, asked_problems, network_behind, queries_behind, queries_of, shared_length, size_behind
from igsm_pipeline.stage import Check, Column, Read, Stage, Table
from igsm_pipeline.store import Unit


def _kept(unit: Unit) -> int:
    """Layers whose states are kept, the embedding counted as one."""
    asked = unit.settings["layers"]
    return size_behind(unit)[1] if asked is None else len(asked)


def _disk(unit: Unit) -> float:
    return (2.0 * size_behind(unit)[0] * _kept(unit) + 24) * queries_behind(unit.inputs.values())


def _length(unit: Unit) -> float:
    """Tokens of a row; several tasks share about half of the positions that queries are read at."""
    (asked,) = queries_of(unit)
    return shared_length(unit, asked, len(asked.settings["tasks"]) / 2)


def _work(unit: Unit) -> float:
    """Operations of a forward pass over every row, and two thirds more for writing the states of all layers (measured on a finished ``mini``)."""
    length, share = _length(unit), _kept(unit) / size_behind(unit)[1]
    return (1 + 0.7 * share) * sum(map(asked_problems, queries_of(unit))) * length * network_behind(unit).forward(length)


def _memory(unit: Unit) -> float:
    """Bytes of the weights, and of the states of all layers for one pass."""
    network = network_behind(unit)
    return network.bytes + 4.0 * float(unit.runtime.get("max_tokens", 16384)) * network.width * (network.layers + 12)


_PROBLEM = Column("problem", "int32", "row of the problem in its set, from 0")
_POSITION = Column("position", "int16", "number of solution sentences read; 0 is the end of the question")
_STATES = Column("layer_*", "", "state after each layer, 0 is the embedding; float16 list of d_model numbers")

STAGE = Stage(
    name="activation_cache",
    version=2,
    settings=ActivationSettings,
    write="igsm_pipeline.activations.write:write_activations",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="States of the frozen model at the ends of queries and sentences, per layer, for the trained model and for random weights.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("queries", "probe_queries"), Read("model", "checkpoint"), Read("model", "control")),
    tables=(
        Table(
            "query_states",
            "one row per position that a query is read at",
            "queries-*.parquet",
            (
                _PROBLEM,
                _POSITION,
                Column("parameter", "uint8", "code of parameter A in its problem"),
                Column("parameter_b", "uint8", "code of parameter B (dep); 255 for other tasks"),
                _STATES,
            ),
            view=False,
        ),
        Table("sentence_states", "one row per sentence end", "sentences-*.parquet", (_PROBLEM, _POSITION, _STATES), view=False),
    ),
    checks=(Check("sharing_is_exact", "Shared prefixes give the states of separate passes.", "igsm_pipeline.activations.checks:sharing_is_exact"),),
    disk=_disk,
    work=_work,
    arithmetic=FORWARD,
    memory=_memory,
    sizes=("layers", "d_model"),
    parallel=True,
    torch=True,
)
