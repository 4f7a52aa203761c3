"""The stage ``checkpoint``: it trains a model and writes it with its tokenizer; a killed run resumes from its newest state."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer

from igsm_pipeline.errors import BadInput
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.foreign import check_abilities
from igsm_pipeline.model.settings import CONTEXT
from igsm_pipeline.problems.files import read_problems
from igsm_pipeline.processes import die_with_parent
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import TokenTable, build_table
from igsm_pipeline.tokens.foreign import TOKENIZER, copy_tokenizer, read_tokenizer
from igsm_pipeline.tokens.fragments import NUM_SPECIALS
from igsm_pipeline.tokens.retries import wrong_names
from igsm_pipeline.tokens.shards import open_shards
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.training.batches import Windows
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.loop import Specials, train
from igsm_pipeline.training.monitor import make_monitor
from igsm_pipeline.training.ranks import joined_by_others
from igsm_pipeline.training.settings import CheckpointSettings
from igsm_pipeline.training.state import remove_states
from igsm_pipeline.training.stream import ShardMaker, StreamedWindows
from igsm_pipeline.world import World, load_world

MONITOR = "monitor"


def write_checkpoint(settings: CheckpointSettings, inputs: Mapping[str, Path], writing: Writing) -> None:
    """Train, and write a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load, with metrics.jsonl beside the model.

    A foreign checkpoint (``model.path``) is copied and not trained. If several processes train together (``training.processes``), every one of
    them calls this function; the first writes, and the others end with it.

    Args:
        settings: family, tokens, model and training.
        inputs: folders: ``world``, ``shards`` (none if windows are streamed), ``monitor`` and ``monitor:SLICE`` (problems that are solved during the
            training: of every op, and of some slices). A foreign checkpoint reads only ``world``.
        writing: where the files go; its ``state/`` holds the states that an interrupted run resumes from.

    Raises:
        StageFailed: training diverged, or was asked to stop.
        BadInput: there are no shards, they were made with another token table, a foreign model has too few embedding rows, or the weights to start
            from were trained on other tokens.
        BadCheckpoint: the foreign checkpoint or the weights to start from cannot be loaded, or the latter are of another architecture.
    """
    if "WORLD_SIZE" in os.environ:
        die_with_parent()
    world = load_world(inputs["world"])
    if settings.model.path is not None:
        copy_foreign(settings, Path(settings.model.path), world, writing)
        return
    table = build_table(world, settings.family.modulus, settings.tokens)
    sets = {role: read_problems(inputs[role], world, settings.family.modulus) for role in inputs if role.startswith(MONITOR)}
    watched = {role.removeprefix(MONITOR + ":"): batch for role, batch in sets.items() if role != MONITOR}
    monitor = make_monitor(settings, sets[MONITOR], table, watched)
    with joined_by_others(settings, inputs, writing.folder), training_windows(settings, inputs, world, table) as windows:
        context = max(CONTEXT, windows.window)
        model = gpt2_rotary.build(settings.model, table.size, context, settings.training.seed, bos=table.bos, eos=table.eos)
        if settings.training.start is not None:
            start = Path(settings.training.start)
            check_ids(start, table)
            gpt2_rotary.start_from(model, start, new_ids=table.appended)
        specials = Specials(table.solution, table.eos)
        unlearned = partial(wrong_names, table=table) if settings.training.mask_wrong_names else None
        result = train(model, windows, settings.training, writing.folder, specials=specials, unlearned=unlearned, monitor=monitor)
    if int(os.environ.get("RANK", "0")) != 0:
        return
    gpt2_rotary.save(model, writing.folder)
    save_tokenizer(table, writing.folder)
    rows = read_metrics(writing.folder)
    writing.counts["parameters"] = model.num_parameters()
    writing.counts["steps"] = int(result["steps"])
    writing.counts["tokens"] = int(result["tokens"])
    writing.counts["resumed_step"] = int(result["resumed_step"])
    writing.counts["warnings"] = sum("warning" in row for row in rows)
    writing.counts["loss"] = round(float([row["loss"] for row in rows if "loss" in row][-1]), 6)
    looks = [row["accuracy"] for row in rows if "accuracy" in row]
    if looks:
        right, total = (sum(count[place] for count in looks[-1].values()) for place in (0, 1))
        writing.counts["monitor_accuracy"] = round(right / max(1, total), 6)
    remove_states(writing.folder)


@contextmanager
def training_windows(settings: CheckpointSettings, inputs: Mapping[str, Path], world: World, table: TokenTable) -> Iterator[Windows]:
    """The windows to train on: streamed if the settings have a stream, else those of the ``shards`` input.

    Raises:
        BadInput: there are no shards, or they were made with another token table.
    """
    if settings.stream is not None:
        maker = ShardMaker(settings.stream, settings.family, settings.tokens, world, settings.training.seed)
        with StreamedWindows(maker, settings.training.workers) as streamed:
            yield streamed
        return
    if "shards" not in inputs:
        raise BadInput("checkpoint inputs", "must hold shards unless windows are streamed", sorted(inputs), "plan the member again")
    shards = open_shards(inputs["shards"])
    if shards.vocab_size != table.size:
        raise BadInput("shards", f"must have the {table.size} ids of the token settings", shards.vocab_size, "make the shards again")
    yield shards


def copy_foreign(settings: CheckpointSettings, path: Path, world: World, writing: Writing) -> None:
    """Copy a foreign model, and write a tokenizer: the model's own with ``tokens.segmentation: checkpoint``, else that of the token table.

    Raises:
        BadCheckpoint: model or tokenizer cannot be loaded, the architecture cannot do what is asked of it, or the tokenizer lacks a special token.
        BadInput: the model has fewer embedding rows than the table has ids, or its tokenizer has other ids than the table.
    """
    model = gpt2_rotary.load(path)
    check_abilities(model, path)
    table = build_table(world, settings.family.modulus, settings.tokens, path)
    rows = int(model.get_input_embeddings().weight.shape[0])
    if rows < table.size:
        raise BadInput("model.path", f"must have at least {table.size} embedding rows", rows, "choose other tokens or another model")
    gpt2_rotary.save(model, writing.folder)
    if settings.tokens.segmentation == "checkpoint":
        copy_tokenizer(path, writing.folder)
    else:
        check_ids(path, table)
        save_tokenizer(table, writing.folder)
    writing.counts["parameters"] = model.num_parameters()


def check_ids(path: Path, table: TokenTable) -> None:
    """Refuse a foreign model, or weights to start from, whose own tokenizer, if it has one, gives a fragment other ids than the table.

    Raises:
        BadInput: it names the first such fragment.
    """
    if not (path / TOKENIZER).is_file():
        return
    tokenizer = read_tokenizer(path)
    for text in table.fragments.texts[NUM_SPECIALS:]:
        wanted = table.fragment_ids(text).tolist() if text else []
        found = _ids_of(tokenizer, text)
        if found != wanted:
            raise BadInput(
                "tokens",
                f"must give {text!r} the ids of the model's own tokenizer, {found}",
                wanted,
                "use segmentation checkpoint, or the tokens it knows",
            )


def _ids_of(tokenizer: Tokenizer, text: str) -> list[int] | None:
    try:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    except Exception:  # the tokenizers library raises nothing narrower for an unknown word
        return None
