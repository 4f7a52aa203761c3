"""The law of iGSM problems: settings, kernels, records, blocks, reask, files.

``problem`` (names, statements, query) and ``record`` (arrays) describe one problem; ``law`` and ``complete`` draw it; ``blocks`` draws many.
The names below are loaded when they are first used, so that a plan, which needs settings alone, does not wait for the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings

if TYPE_CHECKING:
    from igsm_pipeline.problems.blocks import BlockMaker, family_by_name, generate, generate_block, regenerate
    from igsm_pipeline.problems.files import read_problems
    from igsm_pipeline.problems.problem import Expression, Parameter, Problem
    from igsm_pipeline.problems.record import ProblemBatch

__all__ = [
    "BlockMaker",
    "Expression",
    "FamilySettings",
    "Parameter",
    "Problem",
    "ProblemBatch",
    "ProblemSetSettings",
    "family_by_name",
    "generate",
    "generate_block",
    "read_problems",
    "regenerate",
]
_MODULES = {
    "blocks": ("BlockMaker", "family_by_name", "generate", "generate_block", "regenerate"),
    "files": ("read_problems",),
    "problem": ("Expression", "Parameter", "Problem"),
    "record": ("ProblemBatch",),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
