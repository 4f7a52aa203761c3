"""Problems: what one is, how it is drawn, what many are like.

- ``problem``: a problem as people think of it: items, statements, a query.
- ``record``: many problems as arrays; ``anatomy``: what the ids in them stand for, as kernels; ``encoding``: a problem as such a row.
- ``calculation``: a solution as a list of small steps over symbols.
- ``law/``: how problems are drawn. ``describe/``: what drawn problems are like.
- ``settings``: a family and a problem set; ``files``: problem sets as Parquet; ``write``: the stage; ``workers``: files by several processes.
- ``chosen``: problem sets that are taken from one's own problems.
- ``modulus``: what can be a modulus.
- ``kernel``: the decorator that compiles, and its types.
- ``stage``: the stage as declared; ``checks``: what must hold of its units.

The names below are loaded when they are first used. So a plan, which needs settings alone, does not wait for the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings

if TYPE_CHECKING:
    from igsm_pipeline.problems.files import read_problems
    from igsm_pipeline.problems.law.blocks import BlockMaker, family_by_name, generate, generate_block, regenerate
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
    "law.blocks": ("BlockMaker", "family_by_name", "generate", "generate_block", "regenerate"),
    "files": ("read_problems",),
    "problem": ("Expression", "Parameter", "Problem"),
    "record": ("ProblemBatch",),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
