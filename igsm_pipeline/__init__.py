"""iGSM problems to probed minds, in a notebook: ``import igsm_pipeline as igsm``.

>>> import igsm_pipeline as igsm
>>> problem = igsm.generate(1, world="mini", op=2)[0]
>>> text = igsm.document(problem, "pq")
>>> igsm.verify(problem, text.solution, text.answer).correct
True

``open`` gives what an experiment has found, as polars frames, and its model; docs/notebook.md shows it in ten lines. Every name is loaded when it
is first used, so the import alone waits for neither torch nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from igsm_pipeline.notebook.drawing import generate
    from igsm_pipeline.notebook.opening import open_mind as open
    from igsm_pipeline.problems.problem import Problem
    from igsm_pipeline.problems.record import ProblemBatch
    from igsm_pipeline.problems.settings import FamilySettings
    from igsm_pipeline.text import document, parse_problem
    from igsm_pipeline.verification import Verdict, verify
    from igsm_pipeline.world import load_world

__all__ = ["FamilySettings", "Problem", "ProblemBatch", "Verdict", "document", "generate", "load_world", "open", "parse_problem", "verify"]
_PLACES = {
    "FamilySettings": ("problems.settings", "FamilySettings"),
    "Problem": ("problems.problem", "Problem"),
    "ProblemBatch": ("problems.record", "ProblemBatch"),
    "Verdict": ("verification", "Verdict"),
    "document": ("text", "document"),
    "generate": ("notebook.drawing", "generate"),
    "load_world": ("world", "load_world"),
    "open": ("notebook.opening", "open_mind"),
    "parse_problem": ("text", "parse_problem"),
    "verify": ("verification", "verify"),
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
