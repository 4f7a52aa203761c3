"""Verifies a whole file for a person: in several processes, with a progress bar, giving counts instead of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from igsm_pipeline.outputs import check_output
from igsm_pipeline.processes.pools import usable_cores
from igsm_pipeline.verification.files import VerdictWriter
from igsm_pipeline.verification.rows.columns import Columns
from igsm_pipeline.verification.rows.hints import Sample, find_hints
from igsm_pipeline.verification.rows.judging import Judged, Judging, Refused
from igsm_pipeline.verification.rows.pool import judge_chunks
from igsm_pipeline.verification.rows.sources import check_source, read_rows
from igsm_pipeline.verification.summary import Tally, tally_of


def verify_to_end(path: Path, judging: Judging, *, out: Path | None = None, workers: int = 0) -> tuple[Tally, list[str]]:
    """Verify a file; return the counts of its verdicts, and hints about what most failures have in common. Memory does not grow with the file.

    Args:
        path: see ``verify_file``.
        judging: how to judge.
        out: file that gets each row's verdict, in order; see ``VerdictWriter``.
        workers: number of processes; 0: one per core.

    Raises:
        NotFound: there is no such file.
        BadInput: the file cannot be read, or ``out`` cannot be written; the latter is raised before the work.
    """
    check_source(path)
    samples: list[Sample] = []
    tally = Tally()
    with ExitStack() as stack:
        writer = None
        if out is not None:
            check_output(out, inputs=(path,))
            writer = stack.enter_context(VerdictWriter(out))
        digest = partial(_digest, encode=None if writer is None else writer.encode)
        chunks = judge_chunks(read_rows(path, Columns(judging.columns)), judging, workers or usable_cores(), samples, digest)
        with tqdm(desc="rows", unit=" rows", leave=False, disable=None) as bar:
            for counts, encoded in chunks:
                tally.merge(counts)
                if writer is not None:
                    writer.write(encoded)
                bar.update(counts.judged + counts.refused)
    return tally, find_hints(samples, judging)


def _digest(rows: list[Judged | Refused], encode: Callable[[Iterable[Judged | Refused]], Any] | None) -> tuple[Tally, Any]:
    """The counts of some rows, and the rows as a writer takes them; None where they go nowhere."""
    return tally_of(rows), None if encode is None else encode(rows)
