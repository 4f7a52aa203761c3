"""What every mind can do: its model, its tokenizer, and solving a problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from igsm_pipeline.errors import BadInput, did_you_mean, must_be, whole_number

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from igsm_pipeline.problems.problem import Problem
    from igsm_pipeline.problems.settings import FamilySettings
    from igsm_pipeline.toolbox.solving import Solved

Named = TypeVar("Named", str, int)


class Mind(ABC):
    """A model with its tokenizer. ``igsm.open`` makes one; the model is loaded when it is first used.

    Attributes:
        name: the name that it was opened by.
    """

    name: str

    @property
    @abstractmethod
    def checkpoint(self) -> Path:
        """The folder of the model and its tokenizer.

        Raises:
            NotFound: the model is not trained yet.
        """

    @property
    @abstractmethod
    def format(self) -> Literal["pq", "qp"]:
        """The order of problem and question that the model was trained on."""

    @property
    def family(self) -> FamilySettings | None:
        """The settings of the problems that the model was trained on; None where nobody knows them.

        >>> mind.family.format == mind.format
        True
        """
        return None

    def model(self, device: str = "cpu") -> PreTrainedModel:
        """Load a new copy of the trained model, in evaluation mode.

        >>> mind.model().config.model_type
        'gpt_neox'

        Args:
            device: device for its weights, such as ``cpu``, ``cuda:0``, or ``auto`` for a GPU if there is one.

        Raises:
            NotFound: the model is not trained yet.
            BadCheckpoint: the folder's model cannot be used.
            BadSettings: this machine has no such device.
        """
        from igsm_pipeline.model.device import pick_device
        from igsm_pipeline.model.gpt2_rotary import load

        return load(self.checkpoint, device=pick_device(device))

    def tokenizer(self) -> Any:
        """The tokenizer of the model, as ``transformers`` loads it.

        >>> ids = mind.tokenizer()(" 4")["input_ids"]
        >>> mind.tokenizer().decode(ids)
        ' 4'

        Raises:
            NotFound: the model is not trained yet.
            BadCheckpoint: there is no tokenizer, or it lacks the markers of documents.
        """
        from igsm_pipeline.toolbox.completions import load_tokenizer

        return load_tokenizer(self.checkpoint)

    def solve(self, problem: Problem, *, max_length: int = 2048) -> Solved:
        """Let the model solve a problem greedily, and verify what it wrote.

        >>> solved = mind.solve(mind.batch("op<=max")[0])
        >>> type(solved.verdict.correct), type(solved.written.solution)
        (<class 'bool'>, <class 'str'>)

        Args:
            problem: a problem with names and modulus that the model was trained on. ``igsm.parse_problem`` makes one from text, which does not say
                the modulus: give it, as in ``igsm.parse_problem(text, mind.world, mind.family.modulus)``.
            max_length: most tokens of problem and solution together; the run itself used ``mind.settings.evaluation.max_tokens``.

        Returns:
            The text of the problem, what the model wrote, and the verdict; ``.steps()`` shows it sentence by sentence.

        Raises:
            NotFound: the model is not trained yet.
            BadInput: it is no problem, or of another modulus than the model's; or the tokenizer lacks its words.
        """
        from igsm_pipeline.problems.problem import Problem
        from igsm_pipeline.text import document
        from igsm_pipeline.toolbox.completions import write_solution
        from igsm_pipeline.toolbox.solving import Solved
        from igsm_pipeline.verification import verify

        names = "mind.world" if hasattr(type(self), "world") else "WORLD"
        way_out = f"read it with igsm.parse_problem(text, {names}, mind.family.modulus), or draw one with igsm.generate(family=mind.family)"
        must_be("problem", problem, Problem, "a Problem", way_out)
        if self.family is not None and problem.modulus != self.family.modulus:
            raise BadInput("problem", f"must be mod {self.family.modulus}, as those that the model was trained on", problem.modulus, way_out)
        max_length = whole_number("max_length", max_length, 1, None, "give the most tokens of problem and solution together")
        model, tokenizer = self._loaded
        text = document(problem.solved(), self.format).prompt
        written = write_solution(model, tokenizer, text, max_length=max_length)
        return Solved(text, problem, written, verify(problem, written.solution, written.answer, finished=written.finished))

    @cached_property
    def _loaded(self) -> tuple[PreTrainedModel, Any]:
        return self.model(), self.tokenizer()


class FolderMind(Mind):
    """The mind of a model in a folder: a checkpoint of the store, or any other model. It has no tables.

    Args:
        folder: folder of config.json, the weights and the tokenizer.
    """

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder

    def __repr__(self) -> str:
        return f"<folder {self._folder}: model>"

    @property
    def checkpoint(self) -> Path:
        """The folder.

        >>> igsm.open(mind.checkpoint).checkpoint == mind.checkpoint
        True
        """
        return self._folder

    @property
    def family(self) -> FamilySettings | None:
        """The settings of the problems that the checkpoint was trained on, if the store knows it.

        >>> igsm.open(mind.checkpoint).family == mind.family
        True
        """
        return self._trained_on

    @property
    def format(self) -> Literal["pq", "qp"]:
        """The order of problem and question: that of the checkpoint if the store knows it, else pq.

        >>> igsm.open(mind.checkpoint).format
        'pq'
        """
        return "pq" if self.family is None else self.family.format

    @cached_property
    def _trained_on(self) -> FamilySettings | None:
        from igsm_pipeline.toolbox.solver import trained_on

        return trained_on(self._folder)[0]


def one_of(field: str, value: Named, known: Sequence[Named]) -> Named:
    """Return a value that must be among known ones, as it stands there; ``True`` is no number, and a number is no text.

    Raises:
        BadInput: it is not; the message lists them.
    """
    for one in known:
        if isinstance(value, str if isinstance(one, str) else Integral) and not isinstance(value, bool) and value == one:
            return one
    near = did_you_mean(str(value), map(str, known))
    raise BadInput(field, f"must be one of {', '.join(map(str, known)) or 'none (the experiment has none)'}", value, near or "name one of these")
