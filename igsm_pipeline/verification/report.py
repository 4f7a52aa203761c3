"""A whole file judged for a person: places checked first, several processes, a bar on a terminal, counts instead of rows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from igsm_pipeline.outputs import check_output
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.verification.files import VerdictWriter, judge_file
from igsm_pipeline.verification.rows.hints import Sample, find_hints
from igsm_pipeline.verification.rows.judging import Judging
from igsm_pipeline.verification.rows.sources import check_source
from igsm_pipeline.verification.summary import Tally


def verify_to_end(path: Path, judging: Judging, *, out: Path | None = None, workers: int = 0) -> tuple[Tally, list[str]]:
    """The counts of a file's verdicts, and hints about what most failures have in common; memory does not grow with the file.

    Args:
        path: see ``verify_file``.
        judging: how.
        out: where each row's verdict goes, in order; see ``VerdictWriter``.
        workers: processes; 0: as many as there are cores.

    Raises:
        NotFound: no such file.
        BadInput: the file cannot be read, or ``out`` not be written; the latter is said before the work.
    """
    check_source(path)
    samples: list[Sample] = []
    tally = Tally()
    with ExitStack() as stack:
        writer = None
        if out is not None:
            check_output(out, inputs=(path,))
            writer = stack.enter_context(VerdictWriter(out))
        outcomes = judge_file(path, judging, samples, workers or usable_cores())
        for one in tqdm(outcomes, desc="rows", unit=" rows", leave=False, disable=None):
            tally.add(one)
            if writer is not None:
                writer.write(one)
    return tally, find_hints(samples, judging)
