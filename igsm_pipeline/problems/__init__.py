"""The law of iGSM problems: settings, kernels, records, blocks, reask, files.

``problem`` (names, statements, query) and ``record`` (arrays) describe one problem; ``law`` and ``complete`` draw it; ``blocks`` draws many.
"""

from igsm_pipeline.problems.blocks import BlockMaker, family_by_name, generate, generate_block, regenerate
from igsm_pipeline.problems.files import read_problems
from igsm_pipeline.problems.problem import Expression, Parameter, Problem
from igsm_pipeline.problems.record import ProblemBatch
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings

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
