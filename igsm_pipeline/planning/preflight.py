"""Refuses a plan before anything is computed, if a stage would refuse it hours later."""

from __future__ import annotations

import os
import re
import tempfile
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from igsm_pipeline.costs import network_behind, tokens_per_problem
from igsm_pipeline.errors import BadSettings, StageFailed, StoreError
from igsm_pipeline.evaluations.settings import log_files
from igsm_pipeline.experiments.experiment import ExperimentSettings, Member
from igsm_pipeline.experiments.problem_sets import TRAIN, problem_sets
from igsm_pipeline.experiments.slices import MONITOR
from igsm_pipeline.own_problems.settings import OwnProblemSettings
from igsm_pipeline.planning.estimates import check_budget, estimate_stages
from igsm_pipeline.planning.flow import units_of
from igsm_pipeline.planning.planner import Plan
from igsm_pipeline.problems.settings import NO_RETRIES, ProblemSetSettings
from igsm_pipeline.store import Store

if TYPE_CHECKING:
    from igsm_pipeline.problems.record import ProblemBatch, Records
    from igsm_pipeline.world import World

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
LOOKED_AT = 16
"""Problems per slice that are drawn to find out how long its documents are."""
_AMPLE = 2
"""If ``max_tokens`` is this many times an average document, no problems are drawn."""


def check_plan(plan: Plan, store: Store, *, here: bool = True) -> None:
    """Refuse a plan that cannot be completed.

    Args:
        plan: the plan.
        store: the store of its units.
        here: it is for this machine, whose disk and folder are looked at too.

    Raises:
        BadSettings: the disk budget or the disk is too small, the device does not exist, a problem set cannot have any problem, or nothing fits into
            ``shards.window`` or ``evaluation.max_tokens``.
        BadWorld, BadInput: the world's names do not fit the tokens, or a log of another model's answers cannot be read.
        StoreError: the store cannot be written.
    """
    if not plan.stale:
        return
    if here:
        check_writable(store.root.parent)
    device = plan.member.settings.training.device
    if not _DEVICE.fullmatch(device):
        raise BadSettings(f"{plan.member.path}: training.device", "must be auto, cpu, mps, cuda or cuda:N", device, "use auto")
    check_budget(plan, estimate_stages(plan, store, corrected=False), store if here else None)
    if {"token_shards", "checkpoint"} & set(plan.stale_stages):
        from igsm_pipeline.tokens import build_table  # noqa: PLC0415  (a second, needed only before there are tokens)

        settings = plan.member.settings
        own = Path(settings.model.path) if settings.model.path is not None else None
        table = build_table(settings.world.load(), settings.family.modulus, settings.tokens, own)
        if own is None and settings.training.start is not None:
            check_start(settings, table.size, table.appended)
    if plan.member.settings.model.path is not None:
        check_layers(plan)
    if "llm_evaluations" in plan.stale_stages:
        from igsm_pipeline.evaluations.write import read_folder  # noqa: PLC0415  (the compiler)

        read_folder(log_files(Path(str(plan.member.settings.llm_evaluations.logs))))
    if "problem_sets" in plan.stale_stages:
        check_sets(plan.member)
    if {"token_shards", "checkpoint"} & set(plan.stale_stages):
        check_window(plan.member)
    if {"problem_sets", "generations"} & set(plan.stale_stages):
        check_room(plan.member)


def check_layers(plan: Plan) -> None:
    """Refuse a layer that a model of one's own has not; the layers of other models are checked when their file is read.

    Raises:
        BadSettings: names the first setting that asks for one.
    """
    checkpoint = next(unit for unit in units_of(plan.member) if unit.stage == "checkpoint")
    wrong = plan.member.settings.layer_beyond(network_behind(checkpoint).layers)
    if wrong:
        raise BadSettings(f"{plan.member.path}: {wrong[0]}", *wrong[1:], "correct the list")


def check_start(settings: ExperimentSettings, vocab_size: int, new_ids: int) -> None:
    """Refuse weights to start from that are of another architecture than the member's; so many last ids may be unknown to them.

    Raises:
        BadCheckpoint: names the first setting that differs.
        BadSettings: an offset head is in a layer that the weights fill, so that it would not be there.
    """
    from igsm_pipeline.model import gpt2_rotary  # noqa: PLC0415  (seconds, needed only by a training that goes on from other weights)

    start = Path(settings.training.start or "")
    filled = gpt2_rotary.check_start(gpt2_rotary.configuration(settings.model, vocab_size), start, new_ids=new_ids)
    lost = [layer for layer, _, _ in settings.model.offset_heads if layer - 1 in filled]
    if lost:
        new = [layer for layer in range(1, settings.model.layers + 1) if layer - 1 not in filled]
        rule = f"must be in layers that training.start does not fill, {new or 'of which there are none'}"
        raise BadSettings("model.offset_heads", rule, lost[0], "correct the list")


def check_sets(member: Member) -> None:
    """Refuse an experiment of which a problem set would stay empty: the first problems of each are drawn, which costs seconds.

    Raises:
        BadSettings: the law finds no problem of the set's op and split; names the setting that asks for it and the largest op that can be had.
            Or a file of one's own holds none.
        BadInput: a row of a file of one's own is no problem of this experiment.
    """
    if member.settings.problems.source is not None:
        _check_own(member)
        return
    for name, asked in _drawn_sets(member.settings).items():
        if not _has_problems(asked.model_dump_json()):
            op, ip_max = asked.op or asked.family.op_max, asked.family.ip_max
            smaller = bisect_left(range(1, op), True, key=lambda each: not _has_problems(_with_op(asked, each).model_dump_json()))
            raise BadSettings(
                f"{member.path}: {_field_of(name, member.settings)}",
                f"must ask for problems that there are; family.ip_max {ip_max} leaves the {asked.split} split hardly any of that op",
                f"op {op}",
                f"ask for op {smaller} at most, or raise family.ip_max" if smaller else "raise family.ip_max",
            )


def _check_own(member: Member) -> None:
    """Refuse a set of which the file of one's own holds no problem."""
    from igsm_pipeline.problems.chosen import wanted  # noqa: PLC0415  (the compiler)

    settings, world = member.settings, member.settings.world.load()
    for name, asked in problem_sets(settings).items():
        if not len(_first_problems(asked, settings, world)):
            of_slice = name in settings.evaluation.slices or name in settings.probes.slices or name.startswith(f"{MONITOR}:")
            raise BadSettings(
                f"{member.path}: {_field_of(name, settings) if of_slice else 'problems.source'}",
                "must ask for problems that the file of problems.source has",
                f"none of {wanted(asked)} for the set {name}",
                "add rows, or leave the slice out" if of_slice else "add rows",
            )


def check_window(member: Member) -> None:
    """Refuse a ``shards.window`` into which no training problem fits, or not every drill.

    Problems are drawn, which costs seconds, only where the window is near the length of an average document.

    Raises:
        BadSettings: none of the first problems fits; names the least value that fits one and all of them. Or not every drill does.
    """
    settings = member.settings
    if settings.model.path is not None:
        return
    if settings.shards.drills.any:
        needed = _longest_drill(settings.model_dump_json())
        if settings.shards.window < needed:
            rule = f"must hold every drill of family.op_max {settings.family.op_max} sentences, which may have {needed} tokens"
            raise BadSettings(f"{member.path}: shards.window", rule, settings.shards.window, f"raise it to {needed} or more")
    if settings.shards.window >= _AMPLE * tokens_per_problem(settings.model_dump()):
        return
    shortest, longest = _document_lengths(settings.model_dump_json(), (TRAIN,))[TRAIN]
    if settings.shards.window < shortest:
        raise BadSettings(
            f"{member.path}: shards.window",
            f"must hold a training problem with its solution, {shortest} tokens at least and {longest} for all of the first {LOOKED_AT}",
            settings.shards.window,
            f"raise it to {longest} or more",
        )


def check_room(member: Member) -> None:
    """Refuse an ``evaluation.max_tokens`` that leaves no room for any solution of some slice.

    The first problems of each slice are drawn and written as tokens. That takes seconds, so it is done only if ``max_tokens`` is near the length
    of an average document. The check ``room_to_answer`` reports later whether single completions were cut off.

    Raises:
        BadSettings: of some slice, none of the first problems fits; it names the values for one and for all of them.
    """
    settings = member.settings
    if settings.evaluation.max_tokens >= _AMPLE * tokens_per_problem(settings.model_dump()):
        return
    for name, (shortest, longest) in _document_lengths(settings.model_dump_json(), settings.evaluation.slices).items():
        if settings.evaluation.max_tokens < shortest:
            raise BadSettings(
                f"{member.path}: evaluation.max_tokens",
                f"must hold a prompt of the slice {name} and its solution, {shortest} tokens at least and {longest} for all of the first {LOOKED_AT}",
                settings.evaluation.max_tokens,
                f"raise it to {longest} or more",
            )


@lru_cache(maxsize=16)
def _document_lengths(described: str, names: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Problem set -> tokens of the shortest and of the longest of its first problems, from the start of the prompt to the end of text."""
    from igsm_pipeline.tokens import build_table, emit  # noqa: PLC0415  (the compiler)
    from igsm_pipeline.tokens.retries import with_retries  # noqa: PLC0415

    settings = ExperimentSettings.model_validate_json(described)
    world, family, own = settings.world.load(), settings.family, settings.model.path
    table, sets = build_table(world, family.modulus, settings.tokens, Path(own) if own is not None else None), _drawn_sets(settings)
    found = {}
    for name in names:
        batch = _first_problems(sets[name], settings, world)
        retry = settings.shards.retry if name == TRAIN else NO_RETRIES
        lengths = with_retries(emit(batch, table, family.format), batch, table, retry).lengths + 1
        found[name] = int(lengths.min()), int(lengths.max())
    return found


@lru_cache(maxsize=16)
def _longest_drill(described: str) -> int:
    """Tokens that a drill may have, and one for the start of the window."""
    from igsm_pipeline.tokens import build_table  # noqa: PLC0415  (the compiler)
    from igsm_pipeline.tokens.drills import longest_drill  # noqa: PLC0415

    settings = ExperimentSettings.model_validate_json(described)
    world = settings.world.load()
    return longest_drill(build_table(world, settings.family.modulus, settings.tokens), world, settings.family) + 1


def _first_problems(asked: ProblemSetSettings, settings: ExperimentSettings, world: World) -> ProblemBatch:
    """The first problems of a set, at most ``LOOKED_AT``; of a file of one's own there may be none."""
    from igsm_pipeline.problems import ProblemBatch, generate  # noqa: PLC0415  (the compiler)
    from igsm_pipeline.problems.chosen import choose  # noqa: PLC0415

    if settings.problems.source is None:
        return next(generate(_first_of(asked), world))
    own = OwnProblemSettings.of(Path(settings.problems.source), settings.family)
    return ProblemBatch(choose(_own_records(own.model_dump_json(), world), _first_of(asked)), world, settings.family.modulus)


@lru_cache(maxsize=4)
def _own_records(described: str, world: World) -> Records:
    """All problems of a file of one's own."""
    from igsm_pipeline.own_problems.write import read_split_rows  # noqa: PLC0415  (the compiler)

    return read_split_rows(OwnProblemSettings.model_validate_json(described), world).records


def _drawn_sets(settings: ExperimentSettings) -> dict[str, ProblemSetSettings]:
    """The problem sets of an experiment, with the problems that training draws as it goes as one set more."""
    sets = problem_sets(settings)
    if settings.model.path is None and TRAIN not in sets:
        sets = {TRAIN: ProblemSetSettings(family=settings.family, num_problems=LOOKED_AT, seed=settings.shards.seed)} | sets
    return sets


def _first_of(asked: ProblemSetSettings) -> ProblemSetSettings:
    return asked.model_copy(update={"num_problems": min(LOOKED_AT, asked.num_problems)})


def _with_op(asked: ProblemSetSettings, op: int) -> ProblemSetSettings:
    return asked.model_copy(update={"op": op, "law": "exact", "balanced": False})


@lru_cache(maxsize=64)
def _has_problems(described: str) -> bool:
    """Whether the law finds the first problems of a set."""
    from igsm_pipeline.problems import generate  # noqa: PLC0415  (the compiler)
    from igsm_pipeline.world import load_world  # noqa: PLC0415

    try:
        next(generate(_first_of(ProblemSetSettings.model_validate_json(described)), load_world()))
    except StageFailed:
        return False
    return True


def _field_of(name: str, settings: ExperimentSettings) -> str:
    """The setting that asks for a problem set, with the set's name where there are several."""
    if name.startswith(f"{MONITOR}:"):
        return f"evaluation.monitor_slices: {name.partition(':')[2]}"
    if name in settings.evaluation.slices:
        return f"evaluation.slices: {name}"
    return f"probes.slices: {name}" if name in settings.probes.slices else "family.op_max"


def check_writable(home: Path) -> None:
    """Refuse a data root that cannot be written.

    Raises:
        StoreError: it says why, and what to do.
    """
    there = next(folder for folder in (home, *home.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(os.urandom(4096))
    except OSError as error:
        raise StoreError(
            f"the data root {home} cannot be written ({error.strerror}); free space, mount it writable, or set IGSM_HOME to another folder"
        ) from error
