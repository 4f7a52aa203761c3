"""The stage ``regret`` as declared."""

from __future__ import annotations

from igsm_pipeline.costs import BACKWARD, PROBING, document_tokens, mean_op, network_behind, probe_steps, query_tokens, solution_share
from igsm_pipeline.probes.stage import PROBLEMS, SLICE
from igsm_pipeline.regret.settings import RegretSettings
from igsm_pipeline.stage import Check, Column, Read, Stage, Table, with_interval
from igsm_pipeline.store import Unit

SUBSETS = {
    "all": "every parameter of the problem, at the start of every sentence up to and including that of the first mistake",
    "right": "what the model names in the sentences before it",
    "mistake": "what the first mistake names, where that cannot be computed",
    "elsewhere": "what else cannot be computed there, though not computed before, and the model does not name",
    "slip": "what the first mistake names, where that can be computed",
}
"""Which queries are counted together."""
DECODERS = {
    "greedy": "no retry",
    "probe": "back where the probe says cannot",
    "truth": "back where the parameter truly cannot be computed",
    "chance": "back at random names, as often as the probe",
    "beam": "beam search with sampling",
}
"""How solutions are written."""


def _told(words: dict[str, str]) -> str:
    return "; ".join(f"{name}: {meaning}" for name, meaning in words.items())


DECODER = Column("decoder", "string", _told(DECODERS))
TRIED = Column("tries", "int32", "most retries of a solution (greedy: 0; beam: how many beams)")

REGRET = Table(
    "regret",
    "does the state tell that a parameter just named cannot be computed? One row per slice and subset, along the model's own greedy solutions",
    "regret.parquet",
    (
        SLICE,
        Column("subset", "string", _told(SUBSETS)),
        Column("n", "int64", 'parameters asked about, after " Define A as"'),
        PROBLEMS,
        Column("computable", "int64", "how many of them can be computed next"),
        *with_interval("cannot", "share of them of which the probe says that they cannot be computed next; of first mistakes Wilson's interval"),
        *with_interval("accuracy", "share of right answers"),
        *with_interval("balanced_accuracy", "mean recall over the classes that occur"),
    ),
    result=True,
)
RETRIED = Table(
    "retry_upon_regret",
    "does it help to go back? One row per slice, decoder and number of tries, all on the same problems",
    "retry_upon_regret.parquet",
    (
        SLICE,
        DECODER,
        TRIED,
        Column("n", "int64", "problems"),
        *with_interval("correct", "share of fully correct solutions, with Wilson's interval"),
        *with_interval("gain", "the same less that of greedy, on the same problems"),
        Column("retries", "double", "retries of a solution, on average"),
        Column("asked", "double", "names of a solution that were judged, on average"),
        Column("used_up", "double", "share of solutions that used all their tries"),
        Column(
            "tokens_read",
            "double",
            "tokens that the model read for a problem, on average: prompt, solution, what was taken back, and the probe's reading",
        ),
    ),
    result=True,
)
SOLVED = Table(
    "retried_solutions",
    "one row per problem, decoder and number of tries: the solution's verdict, and how often it was retried",
    "retried_solutions.parquet",
    (
        SLICE,
        Column("problem", "int32", "row of the problem in its set, from 0"),
        DECODER,
        TRIED,
        Column("correct", "bool", "every step is right, and so is the answer"),
        Column("error", "string", "first error; null if correct"),
        Column("retries", "int32", "names that were taken back"),
        Column("asked", "int32", "names that were judged"),
        Column("tokens_read", "int32", "tokens that the model read"),
    ),
)

OFTEN = 6
"""How many times as much as a greedy solution all arms cost together: each reads every token, three of them twice."""


def _work(unit: Unit) -> float:
    """Operations of the probe's training, of asking about every parameter, and of writing every solution in every arm."""
    settings, network = unit.settings, network_behind(unit)
    recipe, family = settings["recipe"], mean_op(settings)
    document, query = document_tokens(settings["tokens"], family), query_tokens(settings["tokens"])
    read = document + settings["per_problem"] * query
    trained = probe_steps(recipe) * recipe["batch_problems"] * read * (1 + BACKWARD) * network.forward(read)
    solved = float(settings["problems"]) * len(settings["slices"])
    asked = solved * (document + 8 * family * query) * network.forward(document)
    share = solution_share(settings["tokens"])
    written = solved * OFTEN * document * (10 * share + 1 - share) * network.forward(document, head=True)
    return float(trained + asked + written)


STAGE = Stage(
    name="regret",
    version=1,
    settings=RegretSettings,
    write="igsm_pipeline.regret.write:write_regret",
    group="mind",
    kinds=("pytorch", "parquet"),
    words="Whether the model knows that it errs once it has named what cannot be computed yet, and whether it helps to go back there.",
    reads=(Read("world"), Read("problems", "problem_sets"), Read("checkpoint"), Read("generations"), Read("verdicts")),
    tables=(REGRET, RETRIED, SOLVED),
    checks=(
        Check("no_retry_no_change", "A solution that nothing was taken back in is the greedy one.", "igsm_pipeline.regret.checks:no_retry_no_change"),
        Check(
            "truth_names_right",
            "With the truth and tries left, no sentence names what cannot be computed.",
            "igsm_pipeline.regret.checks:truth_names_right",
        ),
    ),
    disk=lambda unit: 1e6 + 2e2 * float(unit.settings["problems"]) * len(unit.settings["slices"]),
    work=_work,
    arithmetic=PROBING,
    memory=lambda unit: 4.0 * network_behind(unit).bytes + 2e9,
    torch=True,
)
