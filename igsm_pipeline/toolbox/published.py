"""Reads a folder that ``igsm publish`` wrote: what was published, for which problems, and the paths of its parts.

Everything is read from the folder itself, without an experiment file, a store or a training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from igsm_pipeline.errors import BadInput, NotFound
from igsm_pipeline.experiments.sections import EvaluationSection, ProbesSection
from igsm_pipeline.experiments.slices import slice_set
from igsm_pipeline.problems.settings import FamilySettings, ProblemSetSettings
from igsm_pipeline.store import hash_unchanged
from igsm_pipeline.tokens import TokenSettings
from igsm_pipeline.world import World, load_world

PROVENANCE = "manifest.json"
"""The file that describes the folder; units of the store have a file of this name with other fields."""
KIND = "published igsm member"
FORMAT = 1
TRAINED_AS = "trained_as"
"""Where a manifest keeps the training of a model that had been published before."""
CONTROL, PROBES, RESULTS, REPORT = "control", "probes", "results", "report.html"


@dataclass(frozen=True)
class Published:
    """A published member.

    Attributes:
        folder: the folder.
        provenance: content of its manifest.
    """

    folder: Path
    provenance: Mapping[str, Any]

    @property
    def member(self) -> str:
        """Key of the member in the place where it was trained."""
        return str(self.provenance["member"])

    @cached_property
    def family(self) -> FamilySettings:
        """Settings of the problems that it was trained on."""
        return FamilySettings.parse(self._section("family"), f"{self._path}: family")

    @cached_property
    def tokens(self) -> TokenSettings:
        """How text becomes tokens."""
        return TokenSettings.parse(self._section("tokens"), f"{self._path}: tokens")

    @cached_property
    def evaluation(self) -> EvaluationSection:
        """How it was evaluated."""
        return EvaluationSection.parse(self._section("evaluation"), f"{self._path}: evaluation")

    @cached_property
    def probes(self) -> ProbesSection:
        """How its states were probed."""
        return ProbesSection.parse(self._section("probes"), f"{self._path}: probes")

    @cached_property
    def world(self) -> World:
        """The names in its problems, from the copy in the folder."""
        return load_world(self.folder)

    @property
    def training(self) -> dict[str, Any] | None:
        """How its model was trained: member, commit, settings (model, training, shards), counts, seconds, machines. None: it came from elsewhere.

        A model that was published once, and probed and published again, keeps the training of the first time.
        """
        said = self.provenance
        if TRAINED_AS in said:
            return dict(said[TRAINED_AS])
        unit = checkpoint_in(said)
        if not unit or "checkpoint" in self._section("model"):
            return None
        return {
            "member": self.member,
            "commit": said["published_with"]["commit"],
            "settings": {name: self._section(name) for name in ("model", "training", "shards")},
            "counts": unit["counts"],
            "seconds": unit["seconds"],
            "made_on": said["made_on"],
        }

    @property
    def control(self) -> Path:
        """The folder of the control.

        Raises:
            NotFound: it was not published.
        """
        return self._part(CONTROL, "control")

    def probe(self, name: str) -> Path:
        """The folder of a V-probe, ``TASK-ARM``.

        Raises:
            NotFound: it was not published; the message lists those that were.
        """
        return self._part(f"{PROBES}/{name}", "probe")

    def table(self, name: str) -> Path:
        """The file of a table of results.

        Raises:
            NotFound: it was not published; the message lists those that were.
            BadInput: it was altered since.
        """
        path = self._part(f"{RESULTS}/{name}.parquet", "table")
        wanted = self.provenance.get("files", {}).get(f"{RESULTS}/{name}.parquet", {}).get("sha256")
        if wanted not in (None, hash_unchanged(path)):
            raise BadInput(str(path), f"must be as it was published, of SHA-256 {wanted[:12]}", "an altered file", "copy or publish the folder anew")
        return path

    def slice_settings(self, name: str) -> ProblemSetSettings:
        """The problem set of a slice that it was evaluated on; drawing it again gives the same problems in the same order.

        Raises:
            NotFound: it was evaluated on problems of somebody's own, which are not drawn.
        """
        if self.provenance["settings"].get("problems"):
            raise NotFound(f"{self.folder} was evaluated on problems of a file (problems.source), which it does not hold: ask whoever published it")
        asked = self.evaluation
        return slice_set(name, asked.slices, self.family, num_problems=asked.num_problems, per_op=asked.problems_per_op, seed=asked.seed)

    def _part(self, name: str, what: str) -> Path:
        path = self.folder / name
        if not path.exists():
            there = ", ".join(sorted(one.stem if one.suffix == ".parquet" else one.name for one in path.parent.glob("*"))) or "nothing"
            raise NotFound(f"no {what} {path.stem!r} was published in {self.folder}: {path.parent.name} holds {there}")
        return path

    @property
    def _path(self) -> Path:
        return self.folder / PROVENANCE

    def _section(self, name: str) -> Any:
        return self.provenance["settings"][name]


def is_published(folder: Path) -> bool:
    """Whether ``igsm publish`` wrote this folder."""
    return _read(folder).get("kind") == KIND


def read_published(folder: str | Path) -> Published:
    """Read the published member in a folder.

    Raises:
        BadInput: there is none, or this version does not know its form.
    """
    folder = Path(folder)
    said, path = _read(folder), folder / PROVENANCE
    if said.get("kind") != KIND:
        raise BadInput(str(path), "must be that of a published member", said.get("kind"), "name a folder that `igsm publish` wrote")
    if said.get("format") != FORMAT:
        raise BadInput(f"{path}: format", f"must be {FORMAT}", said.get("format"), "publish it again, or use the version that published it")
    settings = said.get("settings")
    lacking = [name for name in ("family", "tokens", "evaluation", "probes") if not isinstance(settings, dict) or name not in settings]
    if lacking or not isinstance(said.get("member"), str):
        raise BadInput(str(path), "must say member and settings", f"no {', '.join(lacking) or 'member'}", "publish it again")
    return Published(folder, said)


def checkpoint_in(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checkpoint's entry among the units of a provenance: content, seconds, counts; empty if it has none."""
    return next((unit for name, unit in provenance.get("units", {}).items() if name.startswith("checkpoint/")), {})


def published_member(folder: Path) -> str | None:
    """The member that published a folder; None where nobody did, or nobody can tell."""
    held = _read(folder).get("member") if is_published(folder) else None
    return held if isinstance(held, str) else None


def trained_before(folder: Path) -> dict[str, Any] | None:
    """How the model in a folder was trained, if it is that of a published member, weights unchanged; else None. See ``Published.training``."""
    if not is_published(folder):
        return None
    published = read_published(folder)
    files = published.provenance.get("files", {})
    weights = sorted(folder.glob("*.safetensors"))
    same = all(files.get(path.name, {}).get("sha256") == hash_unchanged(path) for path in weights)
    return published.training if weights and same else None


def _read(folder: Path) -> dict[str, Any]:
    """The content of a folder's manifest; empty if it has none, or none that can be read."""
    try:
        said = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
