"""A model that is watched: it solves a problem, and every probe is asked about every parameter after every sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from igsm_pipeline.activations.forward import SequenceBatch, freeze
from igsm_pipeline.errors import BadInput
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.player.files import MindFiles
from igsm_pipeline.player.packing import Ids, Question, pack
from igsm_pipeline.probes.settings import Arm
from igsm_pipeline.probes.v_probe import VProbe, load_probe
from igsm_pipeline.problems.problem import Parameter, Problem
from igsm_pipeline.queries.labels import list_candidates
from igsm_pipeline.queries.tasks import TASKS, TaskName
from igsm_pipeline.text import document, render_problem, render_question
from igsm_pipeline.tokens import TokenTable, build_table
from igsm_pipeline.tokens.retries import without_retries

MAX_TOKENS = 8192
"""Padded tokens per pass."""
MAX_PROMPT = 2048
SMALL_MODEL = 20_000_000
"""Parameters."""
Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Written:
    """A solution as token ids, and where its sentences end.

    Attributes:
        ids: what follows the prompt: solution, answer marker, answer, end of text; what a model did not write is missing.
        sentences: texts of the sentences that a "." closes, without space around them.
        ends: index in ``ids`` of each of these ".".
        rest: text behind the last "." and before the answer; "" where every sentence was closed.
        solution: the whole text before the answer marker.
        answer: text after the marker; None where it never came.
        finished: the end of text came.
    """

    ids: Ids
    sentences: tuple[str, ...]
    ends: tuple[int, ...]
    rest: str
    solution: str
    answer: str | None
    finished: bool


def use_few_threads(reader: MindReader) -> None:
    """Let a small model compute in one thread of this process: it is faster so, and much faster where others use the cores, too.

    Ours: the bound; below it a second thread costs more in waiting than it computes.
    """
    if sum(weight.numel() for weight in reader.model("trained").parameters()) < SMALL_MODEL:
        torch.set_num_threads(1)


def hide_loading_bars() -> None:
    """Keep transformers from drawing a progress bar for each model."""
    disable_progress_bar()


class MindReader:
    """A model, its random control and their probes, loaded when they are first asked.

    Args:
        files: where they lie.
        device: where to compute.
    """

    def __init__(self, files: MindFiles, device: str = "cpu") -> None:
        self.files, self.device = files, torch.device(device)
        self._models: dict[Arm, PreTrainedModel] = {}
        self._probes: dict[tuple[TaskName, Arm], VProbe] = {}
        self._names: dict[str, Ids] = {}

    @cached_property
    def table(self) -> TokenTable:
        """Token ids of all that its problems can say."""
        files = self.files
        return build_table(files.world, files.family.modulus, files.tokens, files.models["trained"])

    def load(self) -> None:
        """Load everything now."""
        for arm in self.files.arms:
            self.model(arm)
            for task in self.files.tasks(arm):
                self.probe(task, arm)
        self.table.encode(" 1")

    def model(self, arm: Arm) -> PreTrainedModel:
        """The frozen network of an arm."""
        if arm not in self._models:
            self._models[arm] = freeze(load(self.files.models[arm]).to(self.device))
        return self._models[arm]

    def probe(self, task: TaskName, arm: Arm) -> VProbe:
        """The V-probe of a task on an arm."""
        if (task, arm) not in self._probes:
            self._probes[task, arm] = load_probe(self.files.probes[task, arm], self.device)
        return self._probes[task, arm]

    def parameters(self, problem: Problem) -> tuple[Parameter, ...]:
        """Who is asked about: what the probes were trained on, pairs without an edge left out."""
        wanted = self.files.candidates
        return list_candidates(problem, "existing" if wanted == "all" else wanted)

    def solve(self, problem: Problem) -> Written:
        """Let the model solve a problem, greedily.

        Raises:
            BadInput: the problem is too long, or has words that the model lacks.
        """
        prompt = self.prompt(problem)
        if len(prompt) > MAX_PROMPT:
            raise BadInput("problem", f"must take at most {MAX_PROMPT} tokens", len(prompt), "ask about a shorter one")
        made = complete(self.model("trained"), [prompt], max_tokens=self.files.max_tokens, eos=self.table.eos)
        return self.read_tokens(made.tokens[0])

    def reference(self, problem: Problem) -> Written:
        """The solution in the problem's own order.

        Raises:
            BadProblem: the problem has no order.
        """
        _, solution, answer = document(problem, self.files.family.format)
        table = self.table
        ids = np.concatenate([table.encode(solution), [table.answer], table.encode(answer), [table.eos]])
        return self.read_tokens(ids.astype(np.int64))

    def prompt(self, problem: Problem) -> Ids:
        """[50256, 222] problem and question [223] of a problem."""
        table = self.table
        text = table.encode(document(problem, self.files.family.format).prompt)
        return np.concatenate([[table.eos, table.bos], text, [table.solution]]).astype(np.int64)

    def read_tokens(self, tokens: NDArray[np.integer]) -> Written:
        """Token ids behind a prompt as sentences; what the model took back is left out, as in verdicts."""
        table = self.table
        ids: Ids = without_retries(tokens.astype(np.int64), np.array([0, len(tokens)]), table)[0]
        ends = np.flatnonzero((ids == table.answer) | (ids == table.eos))
        body = ids[: ends[0]] if len(ends) else ids
        dots = np.flatnonzero(body == table.dot)
        starts = [0, *(dots + 1).tolist()]
        texts = [table.decode(body[start : dot + 1], replace=True).strip() for start, dot in zip(starts, dots, strict=False)]
        solution, answer = table.decode_completion(ids)
        finished = bool(len(ids)) and int(ids[-1]) == table.eos
        rest = table.decode(body[starts[-1] :], replace=True).strip()
        return Written(ids, tuple(texts), tuple(dots.tolist()), rest, solution, answer, finished)

    def read(self, problem: Problem, solutions: Mapping[str, Written]) -> dict[Arm, dict[str, Any]]:
        """What every probe reads: ``nece`` and ``dep`` before the solution, the other tasks before it and after each of its sentences.

        Args:
            problem: of the model's world and modulus.
            solutions: key -> solution.

        Returns:
            arm -> task -> probabilities (parameters,) for nece, (parameters, parameters) for dep (row A rests on column B); and
            arm -> key -> task -> (positions, parameters), for ``value`` (positions, parameters, classes). float32. Other tasks likewise: by when
            they are asked, and with an axis of classes where numbers are asked for.
        """
        parameters, prompt = self.parameters(problem), self.prompt(problem)
        names = [self._name(problem.name(one)) for one in parameters]
        found: dict[Arm, dict[str, Any]] = {}
        for arm in self.files.arms:
            found[arm] = said = dict[str, Any]()
            for task in self.files.tasks(arm):
                kind = TASKS[task]
                if kind.needs_b:
                    said[task] = self._read_pairs(task, arm, prompt[: self._statements_end(problem) + 1], names)
                elif kind.asked_at == "prompt":
                    probabilities = self._read_stops(task, arm, prompt[:-1], [len(prompt) - 2], names)[0]
                    said[task] = probabilities if kind.valued else probabilities[:, 1]
                else:
                    for key, written in solutions.items():
                        stops = [len(prompt) - 2, *(len(prompt) + end for end in written.ends)]
                        text = np.concatenate([prompt, written.ids])
                        probabilities = self._read_stops(task, arm, text, stops, names)
                        said.setdefault(key, {})[task] = probabilities if kind.valued else probabilities[..., 1]
        return found

    def _statements_end(self, problem: Problem) -> int:
        """Column of the last "." of the statements."""
        before = "" if self.files.family.format == "pq" else render_question(problem)
        return 1 + len(self.table.encode(before + render_problem(problem)))

    def _name(self, name: str) -> Ids:
        if name not in self._names:
            self._names[name] = self.table.encode(f" {name}").astype(np.int64)
        return self._names[name]

    def _read_stops(self, task: TaskName, arm: Arm, text: Ids, stops: Sequence[int], names: Sequence[Ids]) -> Numbers:
        """Probabilities of every class, (stops, parameters, classes)."""
        questions = [Question(stop, name) for stop in stops for name in names]
        return self._ask(task, arm, text, questions).reshape(len(stops), len(names), -1)

    def _read_pairs(self, task: TaskName, arm: Arm, text: Ids, names: Sequence[Ids]) -> Numbers:
        """Probability that row A rests on column B, (parameters, parameters); 0 on the diagonal."""
        pairs = [(a, b) for a in range(len(names)) for b in range(len(names)) if a != b]
        matrix = np.zeros((len(names), len(names)), np.float32)
        if pairs:
            said = self._ask(task, arm, text, [Question(len(text) - 1, names[a], names[b]) for a, b in pairs])
            matrix[tuple(np.array(pairs).T)] = said[:, 1]
        return matrix

    @torch.inference_mode()
    def _ask(self, task: TaskName, arm: Arm, text: Ids, questions: Sequence[Question]) -> Numbers:
        """Probabilities of every class, (questions, classes)."""
        model, probe = self.model(arm), self.probe(task, arm)
        parts = [
            probe(model, SequenceBatch.of(sequences, self.device)).softmax(-1).cpu().numpy()
            for sequences in pack(text, questions, self.table.probe_markers, MAX_TOKENS)
        ]
        return np.concatenate(parts)
