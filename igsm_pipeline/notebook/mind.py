"""What every mind can do: its model, its tokenizer, and solving a problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from igsm_pipeline.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from igsm_pipeline.problems.problem import Problem
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

    def model(self, device: str = "cpu") -> PreTrainedModel:
        """Load a new copy of the trained model, in evaluation mode.

        >>> mind.model().config.model_type
        'gpt_neox'

        Args:
            device: device for its weights.

        Raises:
            NotFound: the model is not trained yet.
            BadCheckpoint: the folder's model cannot be used.
        """
        from igsm_pipeline.model.gpt2_rotary import load

        return load(self.checkpoint, device=device)

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
            problem: a problem with names that the model was trained on; ``igsm.parse_problem`` makes one from text.
            max_length: most tokens of problem and solution together; the run itself used ``mind.settings.evaluation.max_tokens``.

        Returns:
            The text of the problem, what the model wrote, and the verdict; ``.steps()`` shows it sentence by sentence.

        Raises:
            NotFound: the model is not trained yet.
            BadInput: the tokenizer lacks the words of the problem.
        """
        from igsm_pipeline.text import document
        from igsm_pipeline.toolbox.completions import write_solution
        from igsm_pipeline.toolbox.solving import Solved
        from igsm_pipeline.verification import verify

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
    def format(self) -> Literal["pq", "qp"]:
        """The order of problem and question: that of the checkpoint if the store knows it, else pq.

        >>> igsm.open(mind.checkpoint).format
        'pq'
        """
        from igsm_pipeline.toolbox.solver import trained_on

        family, _ = trained_on(self._folder)
        return "pq" if family is None else family.format


def one_of(field: str, value: Named, known: Sequence[Named]) -> Named:
    """Return a value that must be among known ones.

    Raises:
        BadInput: it is not; the message lists them.
    """
    if value not in known:
        near = did_you_mean(str(value), map(str, known))
        raise BadInput(field, f"must be one of {', '.join(map(str, known)) or 'none (the experiment has none)'}", value, near or "name one of these")
    return value
