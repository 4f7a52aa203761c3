"""What Inspect finds by the entry point ``inspect_ai``: the task and its scorers."""

from igsm_pipeline.llm.scoring import first_error, fully_correct, right_answer, unnecessary_parameters
from igsm_pipeline.llm.task import igsm

__all__ = ["first_error", "fully_correct", "igsm", "right_answer", "unnecessary_parameters"]
