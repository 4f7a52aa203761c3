"""The cards of a published member: README.md of the model and of its tables, with the metadata that the Hugging Face Hub reads.

Ours: the whole of it. Every accuracy stands with its n and its 95% interval; what an interval does not say is said beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from igsm_pipeline.reports.findings import Row
from igsm_pipeline.reports.paper_rows import Accuracy, accuracy_by_op, accuracy_rows, score, whole_scores
from igsm_pipeline.stage import Table
from igsm_pipeline.tokens.fragments import ANSWER, BEGIN, SOLUTION, SPECIALS
from igsm_pipeline.tokens.settings import DrillSettings
from igsm_pipeline.toolbox.prompt_form import CHAT_ANSWER

TAGS = ["igsm", "synthetic-math", "reasoning", "interpretability", "probing"]
CITATION = """@article{ye2024physics, title={Physics of Language Models: Part 2.1, Grade-School Math and the Hidden Reasoning Process},
  author={Ye, Tian and Xu, Zicheng and Li, Yuanzhi and Allen-Zhu, Zeyuan}, journal={arXiv:2407.20311}, year={2024}}"""
_PROBES = {"v_probe": "V-probe", "random": "on random weights", "linear": "linear", "majority": "majority"}


@dataclass(frozen=True)
class Facts:
    """What a card is written from.

    Attributes:
        name: the member's key.
        title: its experiment's line for people.
        settings: the experiment's sections, as JSON values.
        world: the world's name and content hash.
        parameters: of the model.
        counts: what training counted (steps, tokens, loss).
        seconds: stage -> seconds of all its units.
        made_with: what made it, as (what, value).
        problem: the text of one problem, without markers.
        end: the token that ends a solution.
        verdicts: every verdict, with slice and beams.
        scores: the rows of the probes' metrics.
        missing: what of the member is not published, and why.
        trained_as: the training of a model that had been published before, as ``Published.training`` gives it.
    """

    name: str
    title: str
    settings: Mapping[str, Any]
    world: str
    parameters: int
    counts: Mapping[str, Any]
    seconds: Mapping[str, float]
    made_with: Mapping[str, str]
    problem: str
    end: str
    verdicts: Sequence[Row]
    scores: Sequence[Row]
    missing: Sequence[str] = ()
    trained_as: Mapping[str, Any] | None = None

    @property
    def own_tokenizer(self) -> bool:
        """The tokenizer is one of ours, which was taught the form of a prompt."""
        return bool(self.settings["tokens"]["segmentation"] != "checkpoint")

    @property
    def foreign(self) -> bool:
        """The model came from elsewhere: nothing is known of its training."""
        return "checkpoint" in self.settings["model"] and self.trained_as is None

    @property
    def trained_with(self) -> Mapping[str, Any]:
        """The settings that the model was trained with: sections model, training, shards."""
        return self.settings if self.trained_as is None else self.trained_as["settings"]


def card_text(facts: Facts) -> str:
    """README.md of the model."""
    sections = (_what, _missing, _accuracy, _probes, _load, _law, _training, _limits, _citation)
    return _front_matter(metadata(facts)) + "\n\n".join(filter(None, ("\n".join(section(facts)) for section in sections))) + "\n"


def metadata(facts: Facts) -> dict[str, Any]:
    """The card's metadata: licence, tags and, as ``model-index``, the share of fully correct solutions per slice, with its interval and n."""
    results = [
        {
            "task": {"type": "text-generation", "name": "iGSM, every step judged"},
            "dataset": {"type": "igsm", "name": f"iGSM {row.name}", "split": "test"},
            "metrics": [
                {
                    "type": "accuracy",
                    "name": "fully correct solutions",
                    "value": round(row.correct.value, 6),
                    "args": {"n": row.n, "low_95": round(row.correct.low, 6), "high_95": round(row.correct.high, 6)},
                }
            ],
        }
        for row in accuracy_rows(facts.verdicts)
    ]
    return {
        "license": "other" if facts.foreign else "mit",
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": TAGS,
        "model-index": [{"name": facts.name, "results": results}],
    }


def results_card(facts: Facts, tables: Iterable[tuple[Table, Sequence[str], int]]) -> str:
    """README.md of the tables.

    Args:
        facts: of the model.
        tables: table, names of the columns of its file, rows.
    """
    chosen = list(tables)
    front = {
        "license": "mit",
        "language": ["en"],
        "pretty_name": f"What was found about {facts.name}",
        "tags": TAGS,
        "configs": [{"config_name": table.name, "data_files": f"{table.name}.parquet"} for table, _, _ in chosen],
    }
    lines = [
        f"# What was found about {facts.name}",
        "",
        "One Parquet file per table. Ends of intervals are of 95%, problems resampled. They say what another draw of problems would change, not what "
        "another training would.",
    ]
    for table, columns, rows in chosen:
        meanings = {column.name: column.meaning for column in table.columns}
        lines += ["", f"## {table.name}.parquet", "", f"{table.meaning[:1].upper()}{table.meaning[1:]}; {rows:,} rows.", ""]
        lines += _table(("column", "meaning"), [(f"`{name}`", meanings.get(name, "")) for name in columns])
    return _front_matter(front) + "\n".join(lines) + "\n"


def _front_matter(values: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=150)}---\n\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [list(head), ["---"] * len(head), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _what(facts: Facts) -> Iterator[str]:
    model = facts.trained_with["model"]
    yield f"# {facts.name}"
    yield ""
    if facts.title:
        yield f"{facts.title[:1].upper()}{facts.title[1:]}."
        yield ""
    kind = "with rotary positions" if model.get("partial_rotary_factor", 1) else "without positions"
    shape = (
        "a causal language model from elsewhere"
        if facts.foreign
        else f"a GPT-2 {kind} ({model['layers']} layers, {model['heads']} heads of width {model['head_width']})"
    )
    yield (
        f"This is {shape} with {facts.parameters:,} parameters that solves grade-school math problems of the synthetic iGSM law, step by step, "
        "in words. It is made to be looked into: probes that read its hidden states lie beside it."
    )
    yield ""
    yield "| folder or file | what it is |"
    yield "|---|---|"
    yield "| `config.json`, `model.safetensors`, `tokenizer.json` | the model, as plain `transformers` loads it |"
    yield "| `control/` | the same network with random weights, to compare probes with |"
    yield "| `probes/TASK-ARM/` | V-probes of the trained model and of the control |"
    yield "| `results/` | every verdict and score, as Parquet files with a card |"
    yield "| `report.html` | figures and tables on one page |"
    yield "| `world.json`, `manifest.json` | the names in its problems; settings and provenance, with a SHA-256 of every file |"


def _missing(facts: Facts) -> Iterator[str]:
    if facts.missing:
        yield "## What is missing"
        yield ""
        yield "This was published before all of it was computed. These parts are not here:"
        yield ""
        yield from (f"- {one}" for one in facts.missing)


def _accuracy(facts: Facts) -> Iterator[str]:
    yield "## Accuracy"
    yield ""
    yield "A solution is fully correct if every sentence parses, every step holds, nothing is used before it is defined, and the answer is right."
    yield "Problems are of the test split. Shares are in percent, with their 95% interval."
    yield ""
    head = ("n", "fully correct, %", "right answer, %", "unfinished, %")

    def cells(row: Accuracy) -> tuple[str, ...]:
        return (f"{row.n:,}", row.correct.percent(), row.answer.percent(), row.unfinished.percent())

    yield from _table(("slice", *head), [(row.name, *cells(row)) for row in accuracy_rows(facts.verdicts)])
    yield ""
    yield f"`op` counts the operations of the shortest solution; `op=max` is {facts.settings['family']['op_max']}, the largest number trained on."
    yield "`reask` is a problem with its question redrawn. By op, over all slices but reask (over `by_op` alone where it has that op):"
    yield ""
    yield from _table(("op", "beams", *head), [(row.op, row.beams, *cells(row)) for row in accuracy_by_op(facts.verdicts)])


def _probes(facts: Facts) -> Iterator[str]:
    found = whole_scores(facts.scores)
    if not found:
        return
    yield "## What its states hold"
    yield ""
    yield "A V-probe asks the frozen model a question in its own tokens (a low-rank change of the embedding) and reads the last state with a linear"
    yield "head. Its gain is over the same probe on random weights, on the same queries."
    yield "Balanced accuracy in percent, with its 95% interval by problem."
    yield "A task without gain says nothing about the model."
    yield ""
    rows = []
    for task, part in dict.fromkeys((task, part) for task, part, _ in found):
        own = {probe: found.get((task, part, probe)) for probe in _PROBES}
        balanced = {probe: score(row, "balanced_accuracy") for probe, row in own.items()}
        gain, first = score(own["v_probe"], "balanced_accuracy_gain"), own["v_probe"] or next(row for row in own.values() if row is not None)
        cells = ["-" if one is None else one.percent() for one in balanced.values()]
        rows.append((task, part, f"{first['n']:,}", f"{first['num_problems']:,}", *cells, "-" if gain is None else gain.percent()))
    yield from _table(("task", "slice", "queries", "problems", *_PROBES.values(), "gain"), rows)


def _load(facts: Facts) -> Iterator[str]:
    yield "## How to load and ask it"
    yield ""
    yield f"A prompt is `{facts.end}`, `{SPECIALS[BEGIN]}`, the problem (its question last, or first where `format` below is qp) and"
    yield f"`{SPECIALS[SOLUTION]}`. The problem begins with a space."
    yield f"The model writes the solution, `{SPECIALS[ANSWER]}`, the answer and `{facts.end}`."
    yield ""
    yield "```python"
    yield "from transformers import AutoModelForCausalLM, AutoTokenizer"
    yield ""
    yield 'folder = "."  # this folder'
    yield "model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)"
    yield f"problem = {facts.problem!r}"
    yield from _ask(facts) if facts.own_tokenizer else _ask_foreign(facts)
    yield 'print(tokenizer.decode(written[0, asked["input_ids"].shape[1] :]))'
    yield "```"
    yield ""
    if facts.own_tokenizer:
        yield f"`tokenizer(text)` puts `{facts.end}{SPECIALS[BEGIN]}` in front of any text; with `add_special_tokens=False` it adds nothing. Without"
        yield f"`{SPECIALS[SOLUTION]}` at its end the model may go on with the problem. The chat template takes the problem as the user's message and"
        yield f"adds all markers; it gives an assistant's `... {CHAT_ANSWER} 4` back as solution, `{SPECIALS[ANSWER]}` and answer."
        yield ""
    yield "With the package `igsm_pipeline`, which draws problems, judges every step and asks the probes:"
    yield ""
    yield "```python"
    yield "import igsm_pipeline as igsm"
    yield ""
    yield 'mind = igsm.open(".")  # this folder'
    yield 'problem = igsm.generate(1, family=mind.family, world=mind.world, split="test")[0]'
    yield "print(mind.solve(problem).verdict)"
    yield "```"
    yield ""
    yield "`igsm solve --model FOLDER` does it in a terminal."


def _ask(facts: Facts) -> Iterator[str]:
    yield f'asked = tokenizer(problem + "{SPECIALS[SOLUTION]}", return_tensors="pt")  # puts {facts.end}{SPECIALS[BEGIN]} in front'
    yield "written = model.generate(**asked)"


def _ask_foreign(facts: Facts) -> Iterator[str]:
    prompt, limit = f'{facts.end}{SPECIALS[BEGIN]}" + problem + "{SPECIALS[SOLUTION]}', facts.settings["evaluation"]["max_tokens"]
    yield f'asked = tokenizer("{prompt}", add_special_tokens=False, return_tensors="pt")'
    yield f"end = tokenizer.convert_tokens_to_ids({facts.end!r})"
    yield f'written = model.generate(asked["input_ids"], max_length={limit}, do_sample=False, eos_token_id=end)'


def _law(facts: Facts) -> Iterator[str]:
    yield "## The data"
    yield ""
    yield "Problems are drawn by the law of iGSM (arXiv:2407.20311): a random graph of quantities, a value for each, a question about one of them."
    yield f"All of them are synthetic. The world (the names) is {facts.world}."
    yield ""
    yield from _table(("setting", "value"), [*facts.settings["family"].items(), *facts.settings["tokens"].items()])


def _training(facts: Facts) -> Iterator[str]:
    yield "## Training and cost"
    yield ""
    counts = facts.counts if facts.trained_as is None else facts.trained_as["counts"]
    counted = [(name, value) for name, value in counts.items() if name in ("steps", "tokens", "loss")]
    if facts.foreign:
        yield "The model was not trained here; its weights are those of the folder that the experiment names."
    else:
        if facts.trained_as is not None:
            of, commit, seconds = (facts.trained_as[name] for name in ("member", "commit", "seconds"))
            yield f"Its weights are those that were published as {of} (commit {commit[:10]}), trained in {seconds:,.1f} s."
            yield ""
        if facts.trained_with["training"].get("start"):
            yield "It went on from the weights of another training (`training.start`); steps, tokens and seconds are those of this one alone."
            yield ""
        if DrillSettings.in_section(facts.trained_with["shards"]):
            yield "Beside problems it was trained on drills, solutions without a problem (`shards.drills`); its tests hold none."
            yield ""
        rows = [(f"{name}.{field}", value) for name in ("model", "training", "shards") for field, value in facts.trained_with[name].items()]
        yield from _table(("setting", "value"), [*counted, *(row for row in rows if row[1] is not None)])
    yield ""
    yield "Seconds that the stages took, all units of a stage together:"
    yield ""
    yield from _table(("stage", "seconds"), [(stage, f"{seconds:,.1f}") for stage, seconds in facts.seconds.items()])
    yield ""
    yield from _table(("made with", ""), facts.made_with.items())


def _limits(facts: Facts) -> Iterator[str]:
    seed = facts.trained_with["training"].get("seed", 0)
    yield "## Limits"
    yield ""
    yield (
        f"- This is **one** training{'' if facts.foreign else f', with seed {seed}'}. An interval by problem says what another draw of problems "
        "would change. Another seed, another number of threads or another processor gives another model, and may move a number by more "
        "than its interval."
    )
    yield "- It knows the words of its world and arithmetic modulo a small number, and nothing else. Other words become an unknown token."
    yield f"- It was trained on problems of at most {facts.settings['family']['op_max']} operations; the tables say how it does beyond them."
    yield "- A probe that reads a fact shows that the states hold it, not that the model uses it."
    yield "- It is an instrument for research, and no assistant."
    if facts.foreign:
        yield "- The weights came from elsewhere; their licence is that of their source."


def _citation(facts: Facts) -> Iterator[str]:
    yield "## Citation"
    yield ""
    yield "The law, the tasks and the probes are those of"
    yield ""
    yield "```"
    yield CITATION
    yield "```"
