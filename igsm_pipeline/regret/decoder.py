"""Retry upon regret: solutions written greedily, but taken back to the end of the last sentence where a judge regrets the name just written.

After each " Define A as" a judge says whether A can be computed next. If not, the sentence begun is dropped and begun anew, this time sampled at
temperature 1 up to the end of the name; the rest of the sentence is greedy again. A solution has so many tries; once they are used up, nothing more
is asked and the last name stays.

Rows are decoded together with one key-value cache. What was dropped stays in the cache and is masked, so that nothing is read twice. A probe reads
the text with a changed embedding: its reading is a second row beside each row, in the same passes. Random draws belong to a row, not to the batch.

Source: arXiv:2408.16293, "retry upon regret". Ours: only the name is sampled, since sampled arithmetic would add errors of its own; the last name
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from igsm_pipeline.activations.forward import embed
from igsm_pipeline.model.decoding import in_batches, rows_together
from igsm_pipeline.model.kv_cache import RoomyCache, joined
from igsm_pipeline.regret.judges import Judge
from igsm_pipeline.seeding import generator
from igsm_pipeline.tokens import TokenTable


@dataclass(frozen=True)
class Marks:
    """The tokens that the decoder looks for.

    Attributes:
        named: last token of " as", which ends a name.
        dot: ends a sentence.
        answer: ends the solution; what follows is no sentence.
        eos: ends the text.
    """

    named: int
    dot: int
    answer: int
    eos: int

    @classmethod
    def of(cls, table: TokenTable) -> Marks:
        """Those of a table."""
        return cls(int(table.fragment_ids(" as")[-1]), table.dot, table.answer, table.eos)


@dataclass(frozen=True)
class Retried:
    """What was written for each prompt, in order; (num_prompts,) each.

    Attributes:
        tokens: the ids that were kept, including the end of text if it was written.
        finished: whether it was.
        retries: how often a sentence was taken back.
        asked: how many names were judged.
        read: tokens that the model read: prompt, all that was written, and as much again where a probe reads along.
    """

    tokens: list[NDArray[np.uint32]]
    finished: NDArray[np.bool_]
    retries: NDArray[np.int64]
    asked: NDArray[np.int64]
    read: NDArray[np.int64]


@dataclass
class _Row:
    """One solution as it is written: its ids, where its last sentence ended, and whether it samples."""

    number: int
    prompt: int
    draws: np.random.Generator
    ids: list[int] = field(default_factory=list)
    sentence: int = 0
    sampling: bool = False
    open: bool = True
    retries: int = 0
    asked: int = 0
    read: int = 0

    def write(self, token: int, marks: Marks) -> None:
        """Take in the next token."""
        self.ids.append(token)
        if token in (marks.answer, marks.eos):
            self.open = False
        if token in (marks.named, marks.dot, marks.answer, marks.eos):
            self.sampling = False

    def take_back(self) -> int:
        """Drop the sentence begun; how many tokens that were."""
        dropped = len(self.ids) - self.sentence
        del self.ids[self.sentence :]
        self.sampling, self.retries = True, self.retries + 1
        return dropped


def retry_upon_regret(
    model: PreTrainedModel,
    prompts: Sequence[NDArray[Any]],
    judge: Judge,
    marks: Marks,
    *,
    tries: int,
    max_length: int,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    batch_size: int = 0,
    progress: Callable[[int], Any] = lambda finished: None,
) -> Retried:
    """Write a solution behind each prompt.

    Args:
        model: any causal model of transformers, in evaluation mode.
        prompts: ids per prompt, none empty.
        judge: says which names are regretted.
        marks: the tokens that the decoder looks for.
        tries: most retries of one solution; 0: greedy.
        max_length: most tokens of prompt and what is kept together.
        seed: of the sampling.
        numbers: the judge's problem of each prompt, which its draws belong to as well; None: prompt i is of problem i.
        batch_size: prompts that are decoded together, 0 chooses; fewer where a GPU lacks memory. Results depend on it only where two logits tie.
        progress: called with the number of prompts that were finished since its last call.
    """
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    done, problems = dict[int, _Row](), range(len(prompts)) if numbers is None else numbers
    size = batch_size or max(1, rows_together(model, len(prompts[order[-1]]) if order else 1, max_length) // (1 if judge.probe is None else 2))

    def write(chosen: list[int], tell: Callable[[int], Any]) -> list[_Row]:
        judge.begin([problems[one] for one in chosen])
        rows = [_Row(problems[one], len(prompts[one]), generator(seed, "retry upon regret", problems[one])) for one in chosen]
        _Batch(model, judge, marks, rows, [prompts[index] for index in chosen], tries, max_length).run(tell)
        return rows

    for chosen, rows in in_batches(order, size, write, progress):
        done.update(zip(chosen, rows, strict=True))
    found = [done[index] for index in range(len(prompts))]
    counts = {name: np.array([getattr(row, name) for row in found], dtype=np.int64) for name in ("retries", "asked", "read")}
    tokens = [np.array(row.ids, dtype=np.uint32) for row in found]
    return Retried(tokens, np.array([len(ids) > 0 and int(ids[-1]) == marks.eos for ids in tokens], dtype=bool), **counts)


class _Batch:
    """Rows that are decoded together: row i, and behind it its reading by the probe, if there is one."""

    def __init__(
        self, model: PreTrainedModel, judge: Judge, marks: Marks, rows: list[_Row], prompts: Sequence[NDArray[Any]], tries: int, max_length: int
    ) -> None:
        self.model, self.judge, self.marks, self.tries, self.max_length = model, judge, marks, tries, max_length
        self.rows, self.copies = rows, 1 if judge.probe is None else 2
        parts, states = [], []
        for _, group in groupby(prompts, key=len):
            cache = RoomyCache()
            ids = torch.from_numpy(np.stack(list(group)).astype(np.int64)).to(model.device)
            states.append(self._states(ids, past_key_values=cache)[:, 0])
            parts.append(cache)
        longest = len(prompts[-1])
        self.cache, self.state = joined(parts, longest), torch.cat(states)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        self.position = lengths
        self.seen = torch.arange(longest, device=model.device) >= (longest - lengths)[:, None]
        self.anchor = self.state.clone()
        for row in rows:
            row.read = row.prompt * self.copies

    def _states(self, ids: Tensor, **more: Any) -> Tensor:
        """States of the last layer at the last token, (rows, copies, d_model), for ids of shape (rows, new tokens)."""
        embedded = embed(self.model, ids)[:, None]
        if self.judge.probe is not None:
            embedded = torch.cat([embedded, embedded + self.judge.probe.update(ids)[:, None]], dim=1)
        read: Tensor = self.model.base_model(inputs_embeds=embedded.flatten(0, 1), use_cache=True, **more).last_hidden_state[:, -1]
        return read.view(len(ids), self.copies, -1)

    def run(self, progress: Callable[[int], Any]) -> None:
        """Write until every row has ended."""
        self._leave(progress, [row.prompt < self.max_length for row in self.rows])
        while self.rows:
            ids = self._next_ids()
            for row, token in zip(self.rows, ids.tolist(), strict=True):
                row.write(token, self.marks)
            going = [row.ids[-1] != self.marks.eos and row.prompt + len(row.ids) < self.max_length for row in self.rows]
            ids = self._leave(progress, going, ids)
            if self.rows:
                self._read(ids)

    def _next_ids(self) -> Tensor:
        """The next token of every row: the likeliest, or a draw."""
        logits: Tensor = self.model.get_output_embeddings()(self.state)
        ids = logits.argmax(-1)
        for place, row in enumerate(self.rows):
            if row.sampling:
                reach = logits[place].double().softmax(-1).cumsum(-1).cpu().numpy()
                ids[place] = min(int(np.searchsorted(reach, row.draws.random() * reach[-1], side="right")), len(reach) - 1)
        return ids

    def _leave(self, progress: Callable[[int], Any], going: list[bool], ids: Tensor | None = None) -> Tensor:
        """Rows that have ended leave the batch; the ids of those that stay."""
        ids = torch.zeros(len(going), dtype=torch.long, device=self.model.device) if ids is None else ids
        if all(going):
            return ids
        progress(len(going) - sum(going))
        keep = torch.tensor([place for place, stays in enumerate(going) if stays], dtype=torch.long, device=self.model.device)
        self.rows = [row for row, stays in zip(self.rows, going, strict=True) if stays]
        self.seen, self.position, self.anchor, self.state = (one[keep] for one in (self.seen, self.position, self.anchor, self.state))
        if self.rows:
            first = int(self.seen.any(0).int().argmax())
            self.seen = self.seen[:, first:]
            self.cache.keep_rows((keep[:, None] * self.copies + torch.arange(self.copies, device=keep.device)).flatten(), first)
        return ids[keep]

    def _read(self, ids: Tensor) -> None:
        """Let the model read one token per row, and take back what the judge regrets."""
        self.seen = torch.cat([self.seen, self.seen.new_ones(len(ids), 1)], dim=1)
        mask = self.seen.repeat_interleave(self.copies, 0)[:, None, None, :]
        places = self.position.repeat_interleave(self.copies)[:, None]
        states = self._states(ids[:, None], attention_mask=mask, position_ids=places, past_key_values=self.cache)
        self.state, self.position = states[:, 0], self.position + 1
        ended, named = list[int](), list[int]()
        for place, row in enumerate(self.rows):
            row.read += self.copies
            if row.open and row.ids[-1] == self.marks.dot:
                row.sentence = len(row.ids)
                ended.append(place)
            elif row.open and row.ids[-1] == self.marks.named and row.retries < self.tries:
                row.asked += 1
                named.append(place)
        self.anchor[ended] = self.state[ended]
        if named:
            self._judge(named, states[named, 1] if self.copies == 2 else None)

    def _judge(self, places: list[int], states: Tensor | None) -> None:
        rows = [self.rows[place] for place in places]
        regretted = self.judge.regrets([row.number for row in rows], [np.array(row.ids, dtype=np.uint32) for row in rows], states)
        for place, row, regret in zip(places, rows, regretted.tolist(), strict=True):
            if regret:
                dropped = row.take_back()
                self.seen[place, -dropped:] = False
                self.position[place] -= dropped
                self.state[place] = self.anchor[place]
