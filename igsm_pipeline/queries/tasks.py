"""The probe tasks: what each one asks of a model's state, and when.

Here stands what the rest of the package needs to know of a task. Its answers come from ``queries.facts`` (from records, many at once) and from
``queries.labels`` (from one problem, slow and obvious). A new task takes a name and a record here, and a function in each of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

TaskName = Literal["nece", "dep", "known", "value", "can_next", "nece_next"]
AskedAt = Literal["prompt", "statements", "steps"]


@dataclass(frozen=True)
class Task:
    """What one task asks about a parameter A, or about a pair A, B.

    Attributes:
        name: what settings, files and tables call it.
        words: the question in plain English.
        asked_at: where the model's state is read. ``prompt``: once, at the end of the prompt text. ``statements``: once, at the last "." of the
            problem's statements. ``steps``: at the end of the prompt text and after every sentence of the solution.
        needs_b: it asks about a pair. Such a task is asked at ``statements``, and it alone: where a query is read follows from whether it has a B.
        valued: the answer is a number 0..M-1, or M for "none yet", instead of no or yes.

    Raises:
        ValueError: ``needs_b`` and ``asked_at`` do not fit.
    """

    name: TaskName
    words: str
    asked_at: AskedAt
    needs_b: bool = False
    valued: bool = False

    def __post_init__(self) -> None:
        if self.needs_b != (self.asked_at == "statements"):
            raise ValueError(f"{self.name}: a task is asked at the statements exactly if it needs a B: change asked_at {self.asked_at!r} or needs_b")

    def classes(self, modulus: int) -> int:
        """How many answers there are: M + 1 or 2."""
        return modulus + 1 if self.valued else 2

    def positive(self, labels: NDArray[np.integer], modulus: int) -> NDArray[np.bool_]:
        """Which labels say yes, or give a number. Shape of ``labels``."""
        return np.asarray(labels < modulus if self.valued else labels == 1)


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("nece", "Is A needed to answer the question?", "prompt"),
        Task("dep", "Does A depend on B, directly or not?", "statements", needs_b=True),
        Task("known", "Has the solution computed A by now?", "steps"),
        Task("value", "What is A's value, if the solution has computed it by now?", "steps", valued=True),
        Task("can_next", "Can A be computed next: not computed yet, but all that it is computed from?", "steps"),
        Task("nece_next", "Can A be computed next, and is it needed to answer the question?", "steps"),
    )
}
"""The probe tasks by name.

Source: figure 7 and appendix F (the six).
"""
ALL_TASKS: tuple[TaskName, ...] = tuple(task.name for task in TASKS.values())

if get_args(TaskName) != ALL_TASKS:
    raise TypeError(f"TASKS must have one record per name of TaskName, in order; got {', '.join(ALL_TASKS)}")
