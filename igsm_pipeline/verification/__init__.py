"""Problem + completion -> verdict: the first error and where, redundancy, accuracy with intervals.

verifier.py      text -> verdict
search.py        the search for the first error
verdict.py       what a verdict is
lookup.py        what verification needs of a problem, by name
quick_problem.py the same, straight from a text that is plainly right
token_path.py    ids -> verdict, without text
token_kernel.py  its kernel
token_names.py   how it reads names
summary.py       many verdicts as counts
report.py        what `igsm verify` prints
files.py         files of rows -> verdicts
rows/            rows as people have them
settings.py      what its units depend on
stage.py         the stage as declared
write.py         the stage's code
checks.py        what must hold of its units
"""

from igsm_pipeline.verification.verdict import Error, Verdict
from igsm_pipeline.verification.verifier import verify

__all__ = ["Error", "Verdict", "verify"]
