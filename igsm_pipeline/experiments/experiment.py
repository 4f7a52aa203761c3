"""Experiment files: one small YAML mapping each, composed of the stages' own settings; a grid makes several members of one file.

name: mini                          # optional; must be the file's name
base: small                         # optional; another experiment, whose values this file changes
title: one line for people
world: {source: mini}
family: {op_max: 3, modulus: 5}
...                                 # see ExperimentSettings: one section per stage or group of stages
grid:                               # optional; every combination is a member
  model.layers: [2, 4]              # members NAME.layers=2, NAME.layers=4
  training.seed: {s0: 0, s1: 1}     # a mapping names its values: NAME.layers=2.s0
  size: {GPT2-4-21: {model.layers: 4, model.heads: 21}}    # one label may set several fields
archived: true                      # keeps its history, is not run by schedules
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from igsm_pipeline.errors import BadInput, BadSettings, IgsmError, NotFound, did_you_mean
from igsm_pipeline.experiments.folders import experiment_folders
from igsm_pipeline.experiments.sections import (
    BudgetSection,
    EmergenceSection,
    ErasureSection,
    EvaluationSection,
    InterchangeSection,
    KnowledgeSection,
    LlmEvaluationsSection,
    ProbesSection,
    ProblemsSection,
    RegretSection,
    ShardsSection,
    SteeringSection,
)
from igsm_pipeline.experiments.yaml_files import ODD, read_yaml
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems.settings import FamilySettings
from igsm_pipeline.settings import Settings, added_field
from igsm_pipeline.tokens.settings import LEAST_CONSTANTS, TokenSettings
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.world.settings import WorldSettings

_NAME = re.compile(r"[A-Za-z0-9._=-]+")
MOST_MEMBERS = 1000
"""Ours: members of one experiment; every command reads all of them, so that one file's mistake would cost every other experiment its speed."""


class ExperimentSettings(Settings):
    """The settings of one member: a section per stage or group of stages, each a settings class of its own."""

    title: str = Field("", max_length=200, description="one line for people")
    claim: str = added_field(
        "", max_length=2000, description="stated before it is run: hypothesis, design, n, statistic, refutation; reports show it"
    )
    world: WorldSettings = Field(default_factory=WorldSettings)
    family: FamilySettings = Field(default_factory=FamilySettings)
    tokens: TokenSettings = Field(default_factory=TokenSettings)
    shards: ShardsSection = Field(default_factory=ShardsSection)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    evaluation: EvaluationSection = Field(default_factory=EvaluationSection)
    probes: ProbesSection = Field(default_factory=ProbesSection)
    knowledge: KnowledgeSection = added_field(KnowledgeSection(), description="controls of V-probes")
    interchange: InterchangeSection = added_field(InterchangeSection(), description="interventions between twins")
    problems: ProblemsSection = added_field(ProblemsSection(), description="problems of one's own")
    llm_evaluations: LlmEvaluationsSection = added_field(LlmEvaluationsSection(), description="answers of other people's models")
    steering: SteeringSection = added_field(SteeringSection(), description="pushes along a probe's direction")
    erasure: ErasureSection = added_field(ErasureSection(), description="concepts taken out of states")
    emergence: EmergenceSection = added_field(EmergenceSection(), description="how snapshots of the training are looked at")
    regret: RegretSection = added_field(RegretSection(), description="going back where a name is regretted")
    budget: BudgetSection = Field(default_factory=BudgetSection)

    def layer_beyond(self, last: int) -> tuple[str, str, int] | None:
        """The first setting that names a layer which a model with this last layer cannot give: the setting, the rule, and the layer."""
        below, own = f"must be below the model's last layer, {last}", f"must be layers of the model, 1 to {last}"
        for name, layers, most, rule in (
            ("steering.layers", self.steering.layers, last - 1, below),
            ("erasure.layers", self.erasure.layers, last - 1, below),
            ("probes.layers", self.probes.layers, last, own),
            ("probes.kept_layers", self.probes.kept_layers, last, f"must be layers of the model, 0 to {last}"),
            ("interchange.layers", self.interchange.layers, last, own),
        ):
            if layers and max(layers) > most:
                return name, rule, max(layers)
        return None

    @model_validator(mode="after")
    def _layers_exist(self) -> Self:
        wrong = self.layer_beyond(self.model.layers) if self.model.path is None else None
        if wrong:
            raise ValueError("{} {}, got {}: correct the list".format(*wrong))
        return self

    @model_validator(mode="after")
    def _own_problems_are_not_drawn(self) -> Self:
        if self.problems.source is not None and self.shards.streaming and self.model.path is None:
            raise ValueError("shards.streaming must be false where problems.source names a file of problems, got true: set it to false")
        return self

    @model_validator(mode="after")
    def _a_checkpoint_brings_the_tokenizer(self) -> Self:
        if self.tokens.segmentation == "checkpoint" and self.model.path is None:
            raise ValueError("tokens.segmentation checkpoint needs a model.path whose tokenizer it is: name one, or use bpe or phrase")
        return self

    @model_validator(mode="after")
    def _regret_is_of_models_that_do_not_take_back(self) -> Self:
        if self.regret.problems and self.tokens.back:
            raise ValueError(
                "regret.problems must be 0 where tokens.back is true, got more: a model that takes back by itself is not asked; set it to 0"
            )
        if self.regret.problems and 1 not in self.evaluation.beams:
            raise ValueError("evaluation.beams must hold 1 where regret.problems is not 0: greedy is what is compared with; add it")
        if self.regret.problems and self.evaluation.temperature:
            raise ValueError(
                "evaluation.temperature must be 0 where regret.problems is not 0, got more: greedy is what is compared with; set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _drills_hold_a_sum(self) -> Self:
        if self.shards.drills.any and self.model.path is None and self.family.op_max <= LEAST_CONSTANTS:
            raise ValueError(f"family.op_max must be above {LEAST_CONSTANTS} for drills, got {self.family.op_max}: raise it, or drop shards.drills")
        return self

    @model_validator(mode="after")
    def _retries_have_a_token(self) -> Self:
        if (self.shards.retry.rate or self.training.mask_wrong_names) and not self.tokens.back:
            raise ValueError("tokens.back must be true for retry data, got False: set it, or drop shards.retry and training.mask_wrong_names")
        return self


@dataclass(frozen=True)
class Member:
    """One cell of an experiment's grid. A Dagster partition, a model and a report belong to a member.

    Attributes:
        key: experiment name, then the label of each grid axis, joined by dots.
        experiment: name of the experiment.
        labels: grid axis -> label of this member.
        settings: its settings.
        path: the file that declares it.
        archived: kept for its history, but left out of schedules.
    """

    key: str
    experiment: str
    labels: Mapping[str, str]
    settings: ExperimentSettings
    path: Path
    archived: bool = False


@dataclass(frozen=True)
class Experiment:
    """One experiment file: its members in the grid's order."""

    name: str
    title: str
    path: Path
    archived: bool
    members: tuple[Member, ...]


Broken = dict[Path, IgsmError]
"""Experiment files that cannot be used, and why."""


def load_experiments(broken: Broken | None = None, folders: Sequence[Path] | None = None) -> dict[str, Experiment]:
    """All experiments by name: the built-in ones first, then files in alphabetical order.

    Args:
        broken: gets the files that break a rule; these are skipped. Without it, the first such file raises.
        folders: where to look; None means ``experiment_folders()``.

    Raises:
        BadSettings: a file breaks a rule; the message names the file, the field, the rule, the value and the way out.
    """
    files: dict[str, Path] = {}
    raw: dict[str, dict[str, Any]] = {}
    experiments: dict[str, Experiment] = {}

    @contextmanager
    def judged(path: Path) -> Iterator[None]:
        try:
            yield
        except IgsmError as error:
            named = naming(path, error)
            if broken is None:
                raise named from error.__cause__
            broken[path] = named
        except OSError as error:
            if broken is None:
                raise
            way_out = "correct or remove the link" if path.is_symlink() else "fix its permissions"
            broken[path] = BadSettings(str(path), "must be readable", str(error), way_out)
        except ODD as error:
            odd = BadSettings(str(path), "must be settings", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", "correct the file")
            if broken is None:
                raise odd from None
            broken[path] = odd

    for folder in experiment_folders() if folders is None else folders:
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            with judged(path):
                if path.stem in files:
                    raise BadSettings(f"{path}: name", f"must differ from the experiment in {files[path.stem]}", path.stem, "rename the file")
                files[path.stem] = path
                raw[path.stem] = _read(path, path.stat().st_mtime_ns, path.stat().st_size)
    for name in raw:
        with judged(files[name]):
            made = _experiment(name, files, raw)
            _check_keys({**experiments, name: made})
            experiments[name] = made
    return experiments


def naming(path: Path, error: IgsmError) -> IgsmError:
    """The error of an experiment file, with the file in front where it names another file or none."""
    if path.name in str(error):
        return error
    if isinstance(error, BadInput):
        return type(error)(f"{path}: {error.field}", error.rule, error.got, error.way_out)
    return type(error)(f"{path}: {error}")


def load_members(broken: Broken | None = None, folders: Sequence[Path] | None = None) -> dict[str, Member]:
    """Every member of every experiment by key, including archived ones; ``broken`` and ``folders`` as for ``load_experiments``."""
    return {member.key: member for experiment in load_experiments(broken, folders).values() for member in experiment.members}


def find_member(key: str) -> Member:
    """Find one member. Broken files of other experiments do not matter.

    Raises:
        NotFound: there is no such member; the message lists all.
        BadSettings: the member may be declared in a file that breaks a rule.
    """
    return find_members([key])[0]


def find_members(names: list[str]) -> list[Member]:
    """Find members by name; an experiment's name means all its members. Each comes once, in the given order.

    Raises:
        NotFound: a name is neither an experiment nor a member.
        BadSettings: a name may be declared in a file that breaks a rule.
    """
    broken: Broken = {}
    experiments, found = load_experiments(broken), dict[str, Member]()
    members = {member.key: member for experiment in experiments.values() for member in experiment.members}
    for name in names:
        for path, error in broken.items():  # also a file of one's own with a built-in name: the built-in experiment is not what is meant
            within = name.startswith(f"{path.stem}.") and (name not in members or members[name].experiment == path.stem)
            if name == path.stem or within:
                raise error
        if name not in experiments and name not in members:
            near = did_you_mean(name, [*experiments, *members])
            raise NotFound(f"no member {name!r}{'; ' * bool(near)}{near}\n`igsm status` lists all; a file in <data root>/experiments defines another")
        chosen = experiments[name].members if name in experiments else (members[name],)
        found.update((member.key, member) for member in chosen)
    return list(found.values())


@lru_cache(maxsize=256)
def _read(path: Path, _mtime_ns: int, _size: int) -> dict[str, Any]:
    value = read_yaml(path)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadSettings(str(path), "must be a mapping from section to settings", type(value).__name__, "see experiments/builtin/mini.yaml")
    return value


def _experiment(name: str, files: Mapping[str, Path], raw: Mapping[str, dict[str, Any]]) -> Experiment:
    path = files[name]
    _check_name(f"{path}: name", name)
    if not name[0].isalnum():
        raise BadSettings(f"{path}: name", "must begin with a letter or a digit", name, "rename the file")
    values = _with_base(name, files, raw, ())
    if values.pop("name", name) != name:
        raise BadSettings(f"{path}: name", f"must be the file's name {name!r}", raw[name]["name"], "rename the file or drop the field")
    archived = values.pop("archived", False)
    if not isinstance(archived, bool):
        raise BadSettings(f"{path}: archived", "must be true or false", archived, "correct the value")
    axes = _axes(path, values.pop("grid", {}))
    if (number := math.prod(len(axis) for axis in axes)) > MOST_MEMBERS:
        raise BadSettings(f"{path}: grid", f"must make {MOST_MEMBERS:,} members at most", number, "make several experiments of it")
    members = tuple(_member(name, path, archived, values, cell) for cell in itertools.product(*axes))
    return Experiment(name, members[0].settings.title, path, archived, members)


def _with_base(name: str, files: Mapping[str, Path], raw: Mapping[str, dict[str, Any]], seen: tuple[str, ...]) -> dict[str, Any]:
    """Put the values of a file over those of its base, and of the base's base; name, grid and archived are not taken from a base."""
    values = copy.deepcopy(raw[name])
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in raw or base in (*seen, name):
        others = ", ".join(sorted(set(raw) - {name, *seen}))
        raise BadSettings(f"{files[name]}: base", "must be another experiment that does not rest on this one", base, f"name one of {others}")
    below = _with_base(base, files, raw, (*seen, name))
    return _overlay({key: value for key, value in below.items() if key not in ("name", "grid", "archived")}, values)


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) and key != "grid" else value
    return merged


@dataclass(frozen=True)
class _Value:
    """One value of a grid axis: its label, and the fields that it sets."""

    axis: str
    label: str
    fields: Mapping[str, Any]


def _axes(path: Path, grid: Any) -> list[list[_Value]]:
    if not isinstance(grid, dict):
        raise BadSettings(f"{path}: grid", "must map an axis to its values", grid, "write for example {model.layers: [2, 4]}")
    axes = []
    for axis, values in grid.items():
        where = f"{path}: grid.{axis}"
        if isinstance(values, list):
            named = {f"{str(axis).rsplit('.', 1)[-1]}={value}": value for value in values}
        elif isinstance(values, dict):
            named = {str(label): value for label, value in values.items()}
        else:
            raise BadSettings(where, "must be a list of values or a mapping from label to value", values, "write for example [0, 1] or {s0: 0}")
        if not named or (isinstance(values, list) and len(named) != len(values)):
            raise BadSettings(where, "must have at least one value and none twice", values, "correct the list")
        for label in named:
            _check_name(where, label)
        axes.append([_Value(str(axis), label, value if isinstance(value, dict) else {str(axis): value}) for label, value in named.items()])
    return axes


def _member(name: str, path: Path, archived: bool, values: Mapping[str, Any], cell: tuple[_Value, ...]) -> Member:
    key = ".".join([name, *(value.label for value in cell)])
    own = copy.deepcopy(dict(values))
    for field, value in (item for one in cell for item in one.fields.items()):
        _set(own, str(field).split("."), value, f"{path}: grid field {field}")
    where = str(path) if not cell else f"{path} (member {key})"
    if "..." in key:
        raise BadSettings(where, "must not have three dots in a row, which Dagster keeps for ranges", key, "rename the file or the grid's label")
    _anchor(own, path.parent)
    return Member(key, name, {value.axis: value.label for value in cell}, ExperimentSettings.parse(own, where), path, archived)


def _anchor(values: dict[str, Any], folder: Path) -> None:
    """Make relative paths of files and folders relative to the experiment file's folder; a built-in world's name has no suffix."""
    named_files = (("world", "source"), ("model", "path"), ("training", "start"), ("problems", "source"), ("llm_evaluations", "logs"))
    for section, field in named_files:
        part = values.get(section)
        if not isinstance(part, dict):
            continue
        named = part.get(field)
        if isinstance(named, str) and named and (section != "world" or named.endswith(".json")):
            values[section] = {**part, field: str(folder / Path(named).expanduser())}


def _set(values: dict[str, Any], parts: list[str], value: Any, where: str) -> None:
    for part in parts[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise BadSettings(where, "must lead through sections", values, "name a field as section.field")
    values[parts[-1]] = value


def _check_name(where: str, name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise BadSettings(where, "must be at most 100 of the characters A-Z a-z 0-9 . _ = -", name, "rename it, or give the grid's values labels")


def _check_keys(experiments: Mapping[str, Experiment]) -> None:
    seen: dict[str, Path] = {}
    for member in _every_member(experiments):
        if member.key in seen or (member.key in experiments and member.key != member.experiment):
            other = seen.get(member.key, experiments.get(member.key, experiments[member.experiment]).path)
            raise BadSettings(f"{member.path}: grid", f"must not make a member that {other} has too", member.key, "rename the file or a label")
        seen[member.key] = member.path


def _every_member(experiments: Mapping[str, Experiment]) -> Iterator[Member]:
    return (member for experiment in experiments.values() for member in experiment.members)
