"""Verification: a problem and a solution give a verdict: correct, or the first error and its place, and what was unnecessary.

verifier.py      verifies a text
search.py        finds the first error
verdict.py       what a verdict has
words.py         the kinds of first errors in plain words
lookup.py        look-up tables of a problem, by name
quick_problem.py the same tables, straight from a text that is plainly right
token_path.py    verifies token ids without making text
token_kernel.py  the compiled reader of token ids
token_names.py   how the reader finds names
reward.py        rewards for training: fully correct, or dense
rewarding.py     the same as functions that TRL calls
summary.py       counts of many verdicts, as a table
report.py        verifies a whole file for `igsm verify`
files.py         verifies files and data sets row by row
rows/            reads rows in other people's formats
settings.py      the settings of the stage
stage.py         the declaration of the stage
write.py         the code of the stage
checks.py        the checks of verdicts and problem sets
"""

from igsm_pipeline.verification.files import verify_dataset, verify_file, verify_rows
from igsm_pipeline.verification.reward import reward
from igsm_pipeline.verification.rewarding import igsm_correct, igsm_dense, reward_function
from igsm_pipeline.verification.verdict import Error, Verdict
from igsm_pipeline.verification.verifier import verify
from igsm_pipeline.verification.words import ERRORS_TOLD, error_label

__all__ = [
    "ERRORS_TOLD",
    "Error",
    "Verdict",
    "error_label",
    "igsm_correct",
    "igsm_dense",
    "reward",
    "reward_function",
    "verify",
    "verify_dataset",
    "verify_file",
    "verify_rows",
]
