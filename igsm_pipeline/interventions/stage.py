"""The stages ``interchange``, ``steering`` and ``erasure`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import BACKWARD, FORWARD, document_tokens, mean_op, network_behind, problems_behind, solution_share
from igsm_pipeline.interventions.settings import DONORS, PLACES, PUSHES, ErasureSettings, InterchangeSettings, SteeringSettings
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, with_interval
from igsm_pipeline.store import Unit

EXCHANGED = 0.6
"""Share of the pairs about which a model that plans computes different parameters first."""


def _work(unit: Unit) -> float:
    """Operations of reading the prompt of every pair that is exchanged once per cell and layer."""
    network = network_behind(unit)
    layers = unit.settings["layers"]
    number = network.layers + 1 if layers is None else len(layers)
    document = document_tokens(unit.settings["tokens"], mean_op(unit.settings))
    length = document * (1 - solution_share(unit.settings["tokens"]))
    return EXCHANGED * problems_behind(unit) / 2 * len(DONORS) * len(PLACES) * number * length * network.forward(length)


INTERCHANGE = Table(
    "interchange",
    "one row per donor, place and layer: what the model computes first once states are exchanged there",
    "interchange.parquet",
    (
        Column("donor", "string", f"whose states are put in: {', '.join(DONORS)} (random: directions of the twin's norms)"),
        Column("place", "string", f"where: {', '.join(PLACES)} (see interventions/settings.py)"),
        Column("layer", "int16", "0: the embedding's output; l: the output of the l-th layer"),
        Column("n", "int64", "pairs of twins"),
        *with_interval(
            "swapped", "share of pairs where the model now names what it names first for the twin, given the words that both names begin with"
        ),
        *with_interval("kept", "share of pairs where it still names what it names first without the exchange"),
        *with_interval("shift", "mean over pairs of how far the log-odds of the twin's name against the own one move, in nats"),
    ),
    result=True,
)

STAGE = Stage(
    name="interchange",
    version=1,
    settings=InterchangeSettings,
    write="igsm_pipeline.interventions.write:write_interchange",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="Does the model use its plan? States of a problem with another question are put into its reading, place by place and layer by layer.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("checkpoint")),
    tables=(INTERCHANGE,),
    checks=(
        Check("own_states_change_nothing", "A model's own states, put back, change no answer.", "igsm_pipeline.interventions.checks:own_states"),
        Check("all_states_swap", "All of the twin's states carry its answer.", "igsm_pipeline.interventions.checks:all_states"),
    ),
    disk=lambda unit: 1e5,
    work=_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes,
    torch=True,
)


def _steering_work(unit: Unit) -> float:
    """Operations of reading every prompt once per push, layer and strength, and of the probe's two gradients."""
    network = network_behind(unit)
    number = network.layers if unit.settings["layers"] is None else len(unit.settings["layers"])
    length = document_tokens(unit.settings["tokens"], mean_op(unit.settings)) * (1 - solution_share(unit.settings["tokens"]))
    passes = len(PUSHES) * number * len(unit.settings["strengths"]) + 2 * (1 + BACKWARD)
    return problems_behind(unit) * passes * length * network.forward(length)


STEERED = Table(
    "steering",
    "one row per push, layer and strength: whether the model computes first what a probe was made to believe needed",
    "steering.parquet",
    (
        Column("push", "string", "probe: along its gradient about A; other: about another parameter; random: directions of the same sizes"),
        Column("layer", "int16", "0: the embedding's output; l: the output of the l-th layer"),
        Column("strength", "double", "size of the push, as a share of the norm of all states of the text at that layer"),
        Column("n", "int64", "problems"),
        *with_interval("named", "share of problems where the model now names A first, given the words that A and its own first name begin with"),
        *with_interval("kept", "share of problems where it still names what it names first without a push"),
        *with_interval("shift", "mean over problems of how far the log-odds of A against the own first name move, in nats"),
    ),
    result=True,
)

STEERING = Stage(
    name="steering",
    version=1,
    settings=SteeringSettings,
    write="igsm_pipeline.interventions.write_steering:write_steering",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="Does the model use what its probe reads? States are pushed until the probe thinks a useless quantity needed, to see what comes of it.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("checkpoint"), Read("v_probes")),
    tables=(STEERED,),
    disk=lambda unit: 1e5,
    work=_steering_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes,
    torch=True,
)


def _erasure_work(unit: Unit) -> float:
    """Operations of reading the training problems and solving the others, once per task and random eraser at every layer."""
    network = network_behind(unit)
    number = network.layers - 1 if unit.settings["layers"] is None else len(unit.settings["layers"])
    cells = number * (len(unit.settings["tasks"]) + 2 * int(unit.settings["draws"]))
    length = 2 * document_tokens(unit.settings["tokens"], mean_op(unit.settings))
    return problems_behind(unit) * cells * length * network.forward(length)


_ERASED = (
    Column("erased", "string", "what a linear probe reads of this task is taken out of states; random: random directions; none: nothing"),
    Column("acts", "string", "where: everywhere, on all states of the layer; names, only on those behind a name"),
    Column("layer", "int16", "after which layer; 0 for none, or the layer that is read"),
    Column("rank", "int16", "directions that are taken out"),
    Column("draw", "int16", "number of the random directions, from 0; 0 for the others"),
)
ERASED = Table(
    "erasure",
    "does it use what a linear probe reads? One row per erased concept and layer: what the model solves and writes without it",
    "erasure.parquet",
    (
        *_ERASED,
        Column("moved", "double", "how far the training states on which it acts are moved, as a share of their length; root mean squares"),
        Column("moved_names", "double", "the same of the states behind names"),
        Column("n", "int64", "problems of op_max"),
        *with_interval("correct", "share of fully correct solutions"),
        *with_interval("gain", "that share less the one where nothing is erased, the same problems resampled"),
        *with_interval("kept", "share of solutions that are token for token those where nothing is erased"),
        *with_interval("useless", "share of solutions that compute something without need before their first error"),
        Column("first_error", "string", "the most frequent first error; null if there is none"),
    ),
    result=True,
)
READ_AGAIN = Table(
    "erasure_reading",
    "what can be read once a concept is erased: one row per erased concept, layer, task and layer that new linear probes read",
    "erasure_reading.parquet",
    (
        *_ERASED,
        Column("task", "string", "what is read: nece, known, value, can_next or nece_next, behind a name in the model's own words"),
        Column("read_layer", "int16", "the layer that is erased, or the last one (after the final norm)"),
        Column("n", "int64", "sentences begun"),
        Column("num_problems", "int64", "problems that they belong to"),
        *with_interval("balanced_accuracy", "mean recall over the classes that occur, of a linear probe taught on erased states of other problems"),
    ),
    result=True,
)

ERASURE = Stage(
    name="erasure",
    version=2,
    settings=ErasureSettings,
    write="igsm_pipeline.interventions.write_erasure:write_erasure",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="Does the model need what a linear probe reads? A concept is erased from the states of a layer, to see what it then solves and writes.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("checkpoint")),
    tables=(ERASED, READ_AGAIN),
    checks=(
        Check(
            "erased_is_chance",
            "At the layer where a concept is erased no linear probe reads it.",
            "igsm_pipeline.interventions.checks:erased_is_chance",
            blocking=False,
        ),
    ),
    disk=lambda unit: 1e5,
    work=_erasure_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes,
    torch=True,
)
