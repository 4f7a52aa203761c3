"""The mind of a published member: its model, tables and probes, from one folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import polars as pl

from igsm_pipeline.notebook.mind import FolderMind, one_of
from igsm_pipeline.probes.settings import ARMS, Arm
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.queries.settings import QuerySettings
from igsm_pipeline.queries.tasks import ALL_TASKS, TaskName
from igsm_pipeline.toolbox.published import REPORT, read_published
from igsm_pipeline.world import World

if TYPE_CHECKING:
    from igsm_pipeline.notebook.probe import Probe
    from igsm_pipeline.problems.record import ProblemBatch


class PublishedMind(FolderMind):
    """A folder that ``igsm publish`` wrote, read without a store and without a run. ``igsm.open`` makes one.

    Tables are those of a member's mind; the column ``slice`` names the slice. If something was not published, the error lists what was.

    Args:
        folder: the published folder.

    Raises:
        BadInput: this version does not know the form in which it was published.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.published = read_published(folder)

    def __getattr__(self, name: str) -> NoReturn:
        """Say what a folder has where a member's mind has more."""
        from igsm_pipeline.notebook.member import MemberMind

        if hasattr(MemberMind, name):
            tables = ", ".join(sorted(path.stem for path in (self.checkpoint / "results").glob("*.parquet")))
            raise AttributeError(f"a published folder has no `{name}`, which needs the member and its store; its tables are table(NAME): {tables}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"<published {self.published.member} in {self.checkpoint}: tables, model, probes>"

    @property
    def family(self) -> FamilySettings:
        """The settings of the problems that it was trained on.

        >>> published.family.modulus
        5
        """
        return self.published.family

    @property
    def world(self) -> World:
        """The names in its problems.

        >>> len(published.world.hierarchies) > 0
        True
        """
        return self.published.world

    @property
    def slices(self) -> tuple[str, ...]:
        """The slices that it was evaluated on.

        >>> "op<=max" in published.slices
        True
        """
        return self.published.evaluation.slices

    @property
    def report(self) -> Path:
        """The report, one HTML page that loads nothing from elsewhere.

        >>> published.report.name
        'report.html'
        """
        return self.checkpoint / REPORT

    def batch(self, slice: str) -> ProblemBatch:
        """Draw the problems of a slice again: the same problems in the same order, as objects.

        >>> published.batch("op=max")[0].op == published.family.op_max
        True

        Args:
            slice: a slice that the model was evaluated on.

        Raises:
            BadInput: the model was not evaluated on it.
        """
        import numpy as np

        from igsm_pipeline.problems import generate
        from igsm_pipeline.problems.record import ProblemBatch

        asked = self.published.slice_settings(one_of("slice", slice, self.slices))
        records = np.concatenate([part.records for part in generate(asked, self.world)])
        return ProblemBatch(records, self.world, self.family.modulus)

    def table(self, name: str) -> pl.DataFrame:
        """A whole table of ``results/``; its card explains the columns.

        >>> published.table("verdicts").height == published.verdicts().height
        True

        Args:
            name: name of the file, without ``.parquet``.

        Raises:
            NotFound: the table was not published.
        """
        from igsm_pipeline.notebook.frames import read_frame

        return read_frame([self.published.table(name)])

    def verdicts(self, slice: str | None = None, *, beams: int | None = None) -> pl.DataFrame:
        """The verdict on each solution; ``problem`` is the row of the problem in ``batch(slice)``.

        >>> set(published.verdicts(beams=1)["slice"]) == set(published.slices)
        True

        Args:
            slice: one slice; None: all.
            beams: number of beams, 1 is greedy; None: all.
        """
        return _of(_of(self.table("verdicts"), "slice", slice), "beams", beams)

    def scores(self, slice: str | None = None, task: TaskName | None = None) -> pl.DataFrame:
        """Scores of the probes with 95% intervals, per task, probe, layer, slice and subset.

        >>> published.scores("op<=max", "nece").filter(probe="v_probe", subset="all").height > 0
        True

        Args:
            slice: one slice; None: all that are probed.
            task: one task; None: all.
        """
        return _of(_of(self.table("probe_metrics"), "slice", slice), "task", task)

    def probe(self, task: TaskName, *, arm: Arm = "trained", device: str = "cpu") -> Probe:
        """The V-probe of a task, ready to be asked.

        >>> said = published.probe("nece").ask(published.batch("op<=max").take(slice(0, 1)))
        >>> said.select("name", "label", "prediction", "score").height > 0
        True

        Args:
            task: nece, dep, known, value, can_next or nece_next.
            arm: ``trained``, or ``random``: the probe of the control, a model with random weights.
            device: where to compute.

        Raises:
            BadInput: there is no such task or arm.
            NotFound: the probe was not published.
        """
        from igsm_pipeline.model.device import pick_device
        from igsm_pipeline.notebook.probe import Probe

        one_of("task", task, ALL_TASKS)
        one_of("arm", arm, ARMS)
        published = self.published
        model = self.checkpoint if arm == "trained" else published.control
        asked = QuerySettings(family=self.family, task=task, candidates=published.probes.candidates)
        return Probe(asked, published.tokens, self.world, published.probe(f"{task}-{arm}"), model, pick_device(device))


def _of(table: pl.DataFrame, column: str, value: str | int | None) -> pl.DataFrame:
    """The rows of one value; of all where none is asked for.

    Raises:
        BadInput: no row has it.
    """
    if value is None:
        return table
    return table.filter(pl.col(column) == one_of(column, value, table[column].unique(maintain_order=True).to_list()))
