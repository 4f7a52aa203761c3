"""iGSM as a reasoning-gym data set: ``import igsm_pipeline.llm.gym``, then ``reasoning_gym.create_dataset("igsm", op=8, size=500, seed=1)``.

Ours: reasoning-gym and not ``verifiers``, which dropped its earlier environments in version 0.4 and rests on its maker's platform; what trains with
reasoning-gym data sets trains with this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from reasoning_gym.dataset import ProceduralDataset
from reasoning_gym.factory import DATASETS, register_dataset

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.llm.prompts import SYSTEM, problem_set
from igsm_pipeline.problems import generate
from igsm_pipeline.problems.problem import Problem
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.text import document
from igsm_pipeline.toolbox.dataset import read_family
from igsm_pipeline.verification.reward import Kind, reward
from igsm_pipeline.world import World, load_world

NAME = "igsm"


@dataclass
class IgsmConfig:
    """Which problems a data set holds and how replies are scored.

    Attributes:
        family: med, hard, or a YAML file of family settings.
        world: a built-in name, or a file.
        op: operations of every problem; None: by the family's law.
        modulus: M; None: the family's.
        split: which side of the split by template (or by problem).
        kind: correct (1 or 0) or dense; see ``verification.reward``.
        instructions: whether the question begins with what is to be done.
        seed: of the draw; None: 0.
        size: problems.
    """

    family: str = "med"
    world: str = "igsm"
    op: int | None = None
    modulus: int | None = None
    split: Literal["train", "test"] = "train"
    kind: Kind = "correct"
    instructions: bool = True
    seed: int | None = None
    size: int = 500

    def validate(self) -> None:
        """Refuse wrong values.

        Raises:
            BadSettings: ``size`` is below 1, or the problems cannot be drawn.
        """
        if self.size < 1:
            raise BadSettings("size", "must be at least 1", self.size, "raise it")
        self.problems()

    def problems(self) -> ProblemSetSettings:
        """The problem set that is drawn."""
        family = read_family(self.family)
        if self.modulus is not None:
            family = FamilySettings.parse({**family.canonical(), "modulus": self.modulus}, NAME)
        return problem_set(family, self.split, self.seed or 0, self.size, "reasoning-gym", self.op)


class IgsmDataset(ProceduralDataset):
    """Problems as questions whose replies are scored step by step: the solution in the generator's form, then the answer."""

    def __init__(self, config: IgsmConfig) -> None:
        super().__init__(config=config, seed=config.seed or 0, size=config.size)
        self._settings = config.problems()
        self._world: World = load_world(config.world)

    @cached_property
    def _batches(self) -> list[ProblemBatch]:
        return list(generate(self._settings, self._world))

    def problem(self, index: int) -> Problem:
        """The problem of one item."""
        return self._batches[index // self._settings.block_size][index % self._settings.block_size]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One item: ``question``, ``answer`` (solution and answer, worth 1) and ``metadata``."""
        if not 0 <= index < self.size:
            raise IndexError(f"item must be one of 0 to {self.size - 1}, got {index}; ask for one of them or raise size")
        problem = self.problem(index)
        text, modulus = document(problem, self._settings.family.format), problem.modulus
        lead = f"{SYSTEM.format(modulus=modulus, last=modulus - 1)}\n\n" if self.config.instructions else ""
        metadata = {
            "source_dataset": NAME,
            "source_index": index,
            "problem": text.prompt.strip(),
            "final_answer": text.answer.strip(),
            "op": problem.op,
            "difficulty": {"op": problem.op},
        }
        return {"question": lead + text.prompt.strip(), "answer": text.solution.strip() + text.answer, "metadata": metadata}

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        """The reward of a reply, from 0 to 1; other spellings of the same solution count."""
        if not isinstance(answer, str):
            return 0.0
        options: dict[str, Any] = {"kind": self.config.kind, "world": self._world, "modulus": self._settings.family.modulus}
        return reward([entry["metadata"]["problem"]], [answer], exact=False, **options)[0]


if NAME not in DATASETS:
    register_dataset(NAME, IgsmDataset, IgsmConfig)
