"""What can be done with any model, wherever it came from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from igsm_pipeline.problems.problem import Problem
    from igsm_pipeline.toolbox.solving import Solved


class Mind(ABC):
    """A model with its tokenizer. ``igsm.open`` makes one; the model is loaded when it is first needed.

    Attributes:
        name: what it was opened by.
    """

    name: str

    @property
    @abstractmethod
    def checkpoint(self) -> Path:
        """The folder of the model and its tokenizer.

        Raises:
            NotFound: it is not trained yet.
        """

    @property
    @abstractmethod
    def format(self) -> Literal["pq", "qp"]:
        """The order of problem and question that the model was trained on."""

    def model(self, device: str = "cpu") -> PreTrainedModel:
        """A fresh copy of the trained model, in evaluation mode.

        >>> mind.model().config.model_type
        'gpt_neox'

        Args:
            device: where its weights go.

        Raises:
            NotFound: it is not trained yet.
            BadCheckpoint: the folder's model cannot be used.
        """
        from igsm_pipeline.model.gpt2_rotary import load

        return load(self.checkpoint, device=device)

    def tokenizer(self) -> Any:
        """The tokenizer that lies beside the model, a ``transformers`` one.

        >>> ids = mind.tokenizer()(" 4")["input_ids"]
        >>> mind.tokenizer().decode(ids)
        ' 4'

        Raises:
            NotFound: the model is not trained yet.
            BadCheckpoint: there is none, or it lacks the markers of documents.
        """
        from igsm_pipeline.toolbox.completions import load_tokenizer

        return load_tokenizer(self.checkpoint)

    def solve(self, problem: Problem, *, max_length: int = 2048) -> Solved:
        """Let the model solve a problem, greedily, and judge what it wrote.

        >>> solved = mind.solve(mind.batch("op<=max")[0])
        >>> type(solved.verdict.correct), type(solved.written.solution)
        (<class 'bool'>, <class 'str'>)

        Args:
            problem: of a world whose names the model was trained on; ``igsm.parse_problem`` makes one from text.
            max_length: most tokens of problem and solution together; ``mind.settings.evaluation.max_tokens`` is what the run allowed.

        Returns:
            The text of the problem, what was written, and the verdict; ``.steps()`` shows it sentence by sentence.

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
    """The mind in a folder: a checkpoint of the store, or a model from elsewhere. It has no tables.

    Args:
        folder: holds config.json, the weights and the tokenizer.
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
        """The order of problem and question: what the store says of the checkpoint, else pq.

        >>> igsm.open(mind.checkpoint).format
        'pq'
        """
        from igsm_pipeline.toolbox.solver import trained_on

        family, _ = trained_on(self._folder)
        return "pq" if family is None else family.format
