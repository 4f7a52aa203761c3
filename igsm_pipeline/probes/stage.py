"""The stages ``linear_probes``, ``v_probes`` and ``probe_scores`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import (
    BACKWARD,
    FITTING,
    FORWARD,
    PROBING,
    STATE_COPIES,
    VOCABULARY,
    asked_problems,
    network_behind,
    probe_steps,
    queries_behind,
    queries_of,
    shared_length,
    size_behind,
)
from igsm_pipeline.probes.settings import LinearProbeSettings, ScoreSettings, TextProbeSettings, VProbeSettings
from igsm_pipeline.queries.stage import KEY, LABEL, TASK
from igsm_pipeline.stage import Check, Column, Read, Role, Stage, Table, derived, with_interval
from igsm_pipeline.store import Unit

PROBE = Column(
    "probe",
    "string",
    "v_probe, v_probe_layer or linear; random or linear_random, the same on a random model; text, trees without a model; majority",
)
LAYER = Column("layer", "int32", "the layer whose states are read, 0 is the embedding; null for v_probe (last layer) and the majority guess")
SLICE = Column("slice", "string", "evaluation slice")
NUMBER = Column("n", "int64", "queries")
PROBLEMS = Column("num_problems", "int64", "problems that the queries belong to")
PREDICTION = (
    Column("prediction", "int16", "the class that the probe predicts"),
    Column(
        "score",
        "float",
        "probability of label 1; in the task value, of the predicted class; with probes.prior uniform, were all answers equally common",
    ),
)
MODEL = derived("model", "VARCHAR", "trained or random; control_task, no_layers, permuted: a control on the trained model", "u.labels->>'arm'")

SELECTION = Table(
    "layer_selection",
    "one row per task and layer of the linear probes: the scores that chose the layer",
    "selection.parquet",
    (
        derived("model", "VARCHAR", "trained or random", "u.labels->>'arm'"),
        TASK,
        Column("layer", "int32", "the layer whose states are read, 0 is the embedding"),
        Column("n", "int64", "queries of held-out training problems"),
        Column("balanced_accuracy", "double", "on those queries"),
        Column("chosen", "bool", "the best of the task's layers, of equal ones the lowest"),
    ),
    result=True,
)
LOSSES = Table(
    "probe_losses",
    "one row per training step of a V-probe",
    "losses.parquet",
    (
        derived("task", "VARCHAR", "nece, dep, known, value, can_next or nece_next", "u.labels->>'task'"),
        MODEL,
        Column("step", "int64", "step of the probe's training, from 0"),
        Column("loss", "float", "training loss of the step"),
    ),
)
CURVE = Table(
    "probe_curves",
    "has a V-probe converged? One row per score on problems that its training held out",
    "curve*.parquet",
    (
        derived("task", "VARCHAR", "nece, dep, known, value, can_next or nece_next", "u.labels->>'task'"),
        MODEL,
        derived("layer", "INTEGER", "whose output the head reads; null: the last one", "CAST(u.labels->>'layer' AS INTEGER)"),
        Column("step", "int64", "training steps behind the probe"),
        Column("n", "int64", "held-out queries"),
        Column("num_problems", "int64", "problems they belong to"),
        *with_interval("balanced_accuracy", "mean recall over the classes that occur"),
        *with_interval("gain_left", "balanced accuracy of the end less that of this step, the problems resampled for both at once"),
    ),
    result=True,
)
PREDICTIONS = Table(
    "predictions",
    "one row per query and probe",
    "predictions.parquet",
    (
        SLICE,
        PROBE,
        LAYER,
        *KEY,
        LABEL,
        *PREDICTION,
        Column("op", "uint8", "operations of the problem"),
        Column("necessary", "bool", "A is necessary for the answer"),
        Column("distance", "uint8", "shortest dependency path from the query to A; null for unnecessary A"),
    ),
)
TEXT_PREDICTIONS = Table("text_predictions", "one row per query of the text probe", "predictions.parquet", PREDICTIONS.columns, view=False)
METRICS = Table(
    "probe_metrics",
    "one row per task, probe, layer, slice and subset of its queries",
    "metrics.parquet",
    (
        TASK,
        PROBE,
        LAYER,
        Column("chosen", "bool", "whether the layer is the task's chosen one (on held-out training problems); null if there is no choice"),
        Column("candidates", "string", "candidate set: graph, existing, text or all"),
        SLICE,
        Column("subset", "string", "all, necessary, unnecessary, known"),
        Column("op", "int32", "null: all operations together"),
        NUMBER,
        PROBLEMS,
        Column("positives", "int64", "queries with label 1 (value: known)"),
        Column("negatives", "int64", "all other queries"),
        *with_interval("accuracy", "share of right predictions"),
        *with_interval("balanced_accuracy", "mean recall over the classes that occur"),
        *with_interval("mcc", "Matthews' correlation"),
        *with_interval("auroc", "area under the ROC curve; null for value"),
        *with_interval("accuracy_positive", "accuracy on positives"),
        *with_interval("accuracy_negative", "accuracy on negatives"),
        Column("ece", "double", "expected calibration error, 15 bins"),
        *with_interval("balanced_accuracy_gain", "balanced accuracy minus that of the random control on the same queries"),
    ),
    result=True,
)
BEYOND_TEXT = Table(
    "beyond_text",
    "what a V-probe knows that the text does not say: one row per task, slice and model",
    "beyond_text*.parquet",
    (
        TASK,
        Column("probe", "string", "v_probe: on the trained model; random: on random weights"),
        SLICE,
        NUMBER,
        PROBLEMS,
        *with_interval("balanced_accuracy", "balanced accuracy of the probe"),
        *with_interval("text", "balanced accuracy of the text probe: boosted trees on local features of the text, no model"),
        *with_interval("gain", "balanced accuracy of the probe minus that of the text probe on the same queries"),
        Column("missed", "int64", "queries that the text probe gets wrong"),
        *with_interval("right_where_missed", "share of them that the probe gets right"),
    ),
    result=True,
)
DISTANCES = Table(
    "layer_distance",
    "figures 10 and 14: one row per probe, layer, slice and distance; nece on necessary parameters",
    "distances.parquet",
    (
        Column("task", "string", "nece", shown=False),
        PROBE,
        LAYER,
        SLICE,
        Column("distance", "int32", "shortest dependency path from the query, 1 to 8"),
        NUMBER,
        PROBLEMS,
        *with_interval("accuracy", "share of necessary parameters that the probe calls necessary"),
    ),
    result=True,
)
MENTAL_STATE = Table(
    "mental_state",
    "the dense map: one row per problem, task, position and parameter, with the V-probe's answer",
    "mental_state*.parquet",
    (
        SLICE,
        *KEY,
        LABEL,
        Column("name", "string", "name of parameter A"),
        *PREDICTION,
        Column("probe", "string", "v_probe", shown=False),
        Column("layer", "int32", "null: V-probes read the last layer", shown=False),
        Column("op", "uint8", "operations of the problem", shown=False),
        Column("necessary", "bool", "A is necessary for the answer", shown=False),
        Column("distance", "uint8", "shortest dependency path from the query to A; null for unnecessary A", shown=False),
    ),
)


def _cached_size(unit: Unit) -> tuple[int, int]:
    """Width and number of layers (the embedding counts as one) of the states that a unit reads."""
    return size_behind(next((one for one in unit.inputs.values() if one.stage == "activation_cache"), unit))


def _linear_disk(unit: Unit) -> float:
    """Bytes of a probe per task and layer, each with modulus + 1 classes."""
    width, layers = _cached_size(unit)
    return 4.0 * len(unit.settings["tasks"]) * layers * (width + 1) * (int(unit.settings["modulus"]) + 1)


def _v_probe_disk(unit: Unit) -> float:
    """Bytes of the embedding's update, of the head, and of the state that a training resumes from."""
    return 4 * (1 + STATE_COPIES) * float(unit.settings["rank"]) * (VOCABULARY["bpe"] + size_behind(unit)[0] + 64.0)


def _scores_disk(unit: Unit) -> float:
    """Bytes of a prediction per query, layer and arm."""
    return 2 * (size_behind(unit)[1] + 1) * 6.0 * queries_behind(unit.inputs.values()) + 1e6


def _linear_work(unit: Unit) -> float:
    """Operations of a hundred steps of L-BFGS over the states of every layer, for every class of every task."""
    width, layers = _cached_size(unit)
    classes = sum(int(unit.settings["modulus"]) + 1 if task == "value" else 1 for task in unit.settings["tasks"])
    queries = sum(asked_problems(one) * int(one.settings["per_problem"]) for one in queries_of(unit))
    return 400.0 * queries * layers * width * classes


def _linear_memory(unit: Unit) -> float:
    """Bytes of a few copies of the states of one layer and task."""
    queries = sum(asked_problems(one) * int(one.settings["per_problem"]) for one in queries_of(unit))
    return 12.0 * queries * _cached_size(unit)[0]


def _v_probe_work(unit: Unit) -> float:
    """Operations of a forward pass, and a backward pass to the embedding, over the documents and queries of every step of every start."""
    (asked,) = queries_of(unit)
    length = shared_length(unit, asked, 1)
    return probe_steps(unit.settings) * int(unit.settings["batch_problems"]) * length * (1 + BACKWARD / 2) * network_behind(unit).forward(length)


def _v_probe_memory(unit: Unit) -> float:
    """Bytes of the weights, of what the forward pass of a batch keeps, and of its mask."""
    (asked,) = queries_of(unit)
    rows, length, network = int(unit.settings["batch_problems"]), 2 * shared_length(unit, asked, 1), network_behind(unit)
    return network.bytes + network.kept(rows * length, unit.settings["precision"]) + 8.0 * rows * length**2


def _text_work(unit: Unit) -> float:
    """Operations of growing the trees on the training queries of every task, about as many for each query."""
    asked = unit.inputs[Role("queries", "train")]
    queries = min(float(unit.settings["max_queries"]), asked_problems(asked) * float(asked.settings["per_problem"]))
    return 1.6e5 * len(unit.settings["tasks"]) * queries


def _scores_work(unit: Unit) -> float:
    """Operations of a forward pass over every document and its queries, for every V-probe."""
    probes = sum(role.startswith("v_probes") for role in unit.inputs)
    (asked,) = queries_of(unit)
    length = shared_length(unit, asked, 1)
    return probes * asked_problems(asked) * length * network_behind(unit).forward(length)


LINEAR_PROBES = Stage(
    name="linear_probes",
    version=2,
    settings=LinearProbeSettings,
    write="igsm_pipeline.probes.write_linear_probes:write_linear_probes",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="A linear probe per task and layer on the cached states: the baseline for V-probes; figure 10 shows its layers.",
    reads=(
        Read("world"),
        Read("problems", "problem_sets"),
        Read("queries", "probe_queries"),
        Read("model", "checkpoint"),
        Read("model", "control"),
        Read("activations", "activation_cache"),
    ),
    tables=(SELECTION,),
    checks=(
        Check(
            "linear_probes_chosen",
            "Every layer has a finite probe, and the best layer is chosen.",
            "igsm_pipeline.probes.checks:linear_probes_chosen",
        ),
    ),
    disk=_linear_disk,
    work=_linear_work,
    arithmetic=FITTING,
    memory=_linear_memory,
    sizes=("layers", "d_model"),
    parallel=True,
    torch=True,
)
V_PROBES = Stage(
    name="v_probes",
    version=5,
    settings=VProbeSettings,
    write="igsm_pipeline.probes.write_v_probe:write_v_probe",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="One V-probe per task and model: a rank-8 update of the input embedding and a linear head; also on random weights (figures 7 and 12).",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("queries", "probe_queries"), Read("model", "checkpoint"), Read("model", "control")),
    tables=(LOSSES, CURVE),
    checks=(Check("v_probes_trained", "Every probe was trained for all its steps and is finite.", "igsm_pipeline.probes.checks:v_probes_trained"),),
    disk=_v_probe_disk,
    work=_v_probe_work,
    arithmetic=PROBING,
    memory=_v_probe_memory,
    parallel=True,
    torch=True,
)
TEXT_PROBES = Stage(
    name="text_probes",
    version=2,
    settings=TextProbeSettings,
    write="igsm_pipeline.probes.text_probe:write_text_probes",
    group="mind",
    kinds=("python", "parquet"),
    words="What boosted trees read off the text without a model: the floor that every probe has to beat.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("queries", "probe_queries")),
    tables=(TEXT_PREDICTIONS,),
    disk=lambda unit: 1e6 + 6.0 * queries_behind(unit.inputs.values()),
    work=_text_work,
    arithmetic=FITTING,
)
PROBE_SCORES = Stage(
    name="probe_scores",
    version=3,
    settings=ScoreSettings,
    write="igsm_pipeline.probes.write_scores:write_scores",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="Every probe on every slice: scores with intervals by problem, beside random weights and the majority guess (figures 7, 10, 12).",
    reads=(
        Read("world"),
        Read("problems", "problem_sets"),
        Read("queries", "probe_queries"),
        Read("model", "checkpoint"),
        Read("model", "control"),
        Read("activations", "activation_cache"),
        Read("linear_probes"),
        Read("v_probes"),
        Read("text_probes"),
    ),
    tables=(PREDICTIONS, METRICS, BEYOND_TEXT, DISTANCES, MENTAL_STATE),
    checks=(
        Check(
            "beats_random", "Every probe is better than the same probe on random weights.", "igsm_pipeline.probes.checks:beats_random", blocking=False
        ),
        Check("beats_text", "Every V-probe is better than trees on the text alone.", "igsm_pipeline.probes.checks:beats_text", blocking=False),
    ),
    disk=_scores_disk,
    work=_scores_work,
    arithmetic=FORWARD,
    memory=lambda unit: 4.0 * network_behind(unit).bytes + 1e9,
    summary="igsm_pipeline.reports.stage_tables:probe_scores",
    plots="igsm_pipeline.reports.stage_plots:probe_scores",
    parallel=True,
    torch=True,
)
