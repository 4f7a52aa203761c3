"""Rows as other people's training programs read them: a chat, a plain text, a bare list of messages.

    messages    {"messages": [{"role": "user", ...}, {"role": "assistant", ...}], ...}    TRL, Axolotl (chat_template), LLaMA-Factory
    text        {"text": ..., ...}                                                      TRL, Axolotl (completion), nanochat's pretraining
    nanochat    [{"role": "user", ...}, {"role": "assistant", ...}]                       nanochat's CustomJSON

Ours: the user says problem and question in the family's order, the assistant the solution and, on a line of
its own, #### and the answer as in GSM8K.
Beside them are op, answer and the world, so that `igsm verify` judges a row, or what a model says to it, by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa

from igsm_pipeline.problems.law.retries import draw_retries
from igsm_pipeline.problems.record import ProblemBatch, parameter_of
from igsm_pipeline.problems.settings import NO_RETRIES, FamilySettings, RetrySettings
from igsm_pipeline.text import document, parse_solution
from igsm_pipeline.text.retries import with_retries
from igsm_pipeline.tokens import TokenTable
from igsm_pipeline.toolbox.problem_lines import document_texts
from igsm_pipeline.toolbox.prompt_form import CHAT_ANSWER

Layout = Literal["messages", "text", "nanochat"]
LAYOUTS: tuple[Layout, ...] = ("messages", "text", "nanochat")
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_FACTS = [("op", pa.int32()), ("answer", pa.string()), ("modulus", pa.int32()), ("world", pa.string()), ("world_hash", pa.string())]
SCHEMAS: dict[str, pa.Schema] = {
    "messages": pa.schema([("messages", _MESSAGES), *_FACTS]),
    "text": pa.schema([("text", pa.string()), *_FACTS]),
}
"""Layout -> columns of its Parquet files; nanochat's lists are lines only."""


def training_rows(
    layout: Layout, batch: ProblemBatch, table: TokenTable, family: FamilySettings, origin: dict[str, Any], retry: RetrySettings = NO_RETRIES
) -> Iterator[Any]:
    """One row per problem.

    Args:
        layout: messages, text or nanochat.
        batch: the problems.
        table: of the world and modulus, with any ids.
        family: of the problems.
        origin: fields that all rows have and that come last.
        retry: what is named and taken back in the solutions; the table then has the token for it.
    """
    slow = batch.world.lenient
    texts = _read_slowly(batch, family, retry) if slow else document_texts(batch, table, family, retry)
    for op, (prompt, solution, answer) in zip(batch.records["op"].tolist(), texts, strict=True):
        asked, said = prompt.strip(), f"{solution.strip()}\n{CHAT_ANSWER} {answer.strip()}"
        facts = {"op": op, "answer": answer.strip(), **origin}
        if layout == "text":
            yield {"text": f"{asked}\n{said}", **facts}
        else:
            chat = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
            yield chat if layout == "nanochat" else {"messages": chat, **facts}


def _read_slowly(batch: ProblemBatch, family: FamilySettings, retry: RetrySettings) -> Iterator[tuple[str, str, str]]:
    """Prompt, solution and answer of problems whose names only their texts settle."""
    drawn = draw_retries(batch.records, retry)
    for row, problem in enumerate(batch):
        prompt, solution, answer = document(problem, family.format)
        names = [(sentence, problem.name(parameter_of(batch.records[row], one))) for sentence, one in drawn.of(row)]
        yield prompt, with_retries([sentence.render() for sentence in parse_solution(solution)], names) if names else solution, answer


def training_lines(
    layout: Layout, batch: ProblemBatch, table: TokenTable, family: FamilySettings, origin: dict[str, Any], retry: RetrySettings = NO_RETRIES
) -> str:
    """The rows as lines of JSON."""
    return "".join([f"{json.dumps(row, ensure_ascii=False)}\n" for row in training_rows(layout, batch, table, family, origin, retry)])


def training_table(
    layout: Layout, batch: ProblemBatch, table: TokenTable, family: FamilySettings, origin: dict[str, Any], retry: RetrySettings = NO_RETRIES
) -> pa.Table:
    """The rows as an Arrow table."""
    return pa.Table.from_pylist(list(training_rows(layout, batch, table, family, origin, retry)), SCHEMAS[layout])
