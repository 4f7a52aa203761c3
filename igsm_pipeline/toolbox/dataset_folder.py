"""A data set as a folder: shards per split, and a card, so that the Hugging Face Hub and training programs take it as it is.

    README.md           the card: what is in it, its law, how TRL, Axolotl, LLaMA-Factory and nanochat read it
    dataset_info.json   LLaMA-Factory's description (messages and text)
    train/, test/       shard_00000.parquet ... or .jsonl; the templates of the two splits are disjoint

Ours: the layout, beside that of the Hub. Shards of text and of whole rows (``--format parquet``) are Parquet files, the others JSON lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.problems.settings import NO_RETRIES, ProblemSetSettings, RetrySettings
from igsm_pipeline.store import new_folder
from igsm_pipeline.toolbox.dataset import Container, FileFormat, made_parts, maker_of, writer_to
from igsm_pipeline.world.world import World

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
_READ = {
    "messages": (
        ("TRL", '`SFTTrainer(..., train_dataset=load_dataset("FOLDER", split="train"))`'),
        ("Axolotl", "`datasets: [{path: FOLDER/train, ds_type: json, type: chat_template, field_messages: messages}]`"),
        ("LLaMA-Factory", "`dataset_dir: FOLDER`, `dataset: igsm_train`, `stage: sft`"),
    ),
    "text": (
        ("TRL", '`SFTTrainer(..., train_dataset=load_dataset("FOLDER", split="train"))`'),
        ("Axolotl", "`datasets: [{path: FOLDER/train, ds_type: parquet, type: completion, field: text}]`"),
        ("LLaMA-Factory", "`dataset_dir: FOLDER`, `dataset: igsm_train`, `stage: pt`"),
        ("nanochat", "the folder `train` as its `base_data`: it reads `text` of every shard and validates on the last one"),
    ),
    "nanochat": (("nanochat", '`CustomJSON(filepath="FOLDER/train/shard_00000.jsonl")`'),),
    "jsonl": (("Hugging Face datasets", '`load_dataset("FOLDER")`'),),
    "parquet": (("Hugging Face datasets", '`load_dataset("FOLDER")`'), ("polars", '`pl.read_parquet("FOLDER/train/*.parquet")`')),
}


def write_folder(
    settings: ProblemSetSettings,
    world: World,
    folder: Path | None,
    *,
    file_format: FileFormat | None,
    shard_rows: int | None,
    test_num: int = 0,
    vocab: Literal["gpt2", "compact"] = "gpt2",
    workers: int = 1,
    retry: RetrySettings = NO_RETRIES,
) -> int:
    """Generate a data set into a new folder, which appears when it is complete.

    Args:
        settings: the problems of its first split.
        world: the names.
        folder: the folder; it must not exist yet, or be empty.
        file_format: what a row is; None: parquet.
        shard_rows: rows of a shard; the last one of a split may have fewer.
        test_num: problems of a second split from the test templates, drawn like the first.
        vocab: token ids of whole rows.
        workers: number of processes; 0: one per core. The bytes do not depend on it.
        retry: what is named and taken back in the solutions of the first split; those of the test split are as they are.

    Returns:
        The number of problems of all splits.

    Raises:
        BadSettings: no folder or no length of shards is given, the folder holds something, or test problems are asked
            for beside a split that may hold them.
        StageFailed: a split has no such problem.
    """
    if folder is None or shard_rows is None:
        raise BadSettings("--shard-rows and --out", "must both be given for a folder of shards", f"{shard_rows} and {folder}", "give both")
    file_format = file_format or "parquet"
    if not folder.absolute().parent.is_dir():
        raise BadSettings("--out", "must lie in a folder that exists", str(folder), f"make the folder {folder.parent}, or name another")
    if test_num and settings.split != "train":
        raise BadSettings("--test-num", "must go with --split train, whose templates the test split lacks", settings.split, "drop one of the two")
    splits = [settings, *([settings.model_copy(update={"split": "test", "num_problems": test_num})] if test_num else [])]
    container: Container = "parquet" if file_format in ("text", "parquet") else "jsonl"
    with new_folder(folder, "--shard-rows") as partial:
        for split in splits:
            (partial / split.split).mkdir()
            _write_split(
                split, world, partial / split.split, file_format, container, shard_rows, vocab, workers, retry if split is settings else NO_RETRIES
            )
        info = _llama_factory(file_format, [split.split for split in splits])
        if info:
            (partial / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        (partial / "README.md").write_text(_card(splits, world, file_format, container), encoding="utf-8")
    return sum(split.num_problems for split in splits)


def _write_split(
    settings: ProblemSetSettings,
    world: World,
    folder: Path,
    file_format: FileFormat,
    container: Container,
    shard_rows: int,
    vocab: Literal["gpt2", "compact"],
    workers: int,
    retry: RetrySettings,
) -> None:
    parts = made_parts(settings, world, vocab, maker_of(file_format, container, retry), workers, shard_rows, back=retry.rate > 0)
    for number in range(-(-settings.num_problems // shard_rows)):
        wanted = min(shard_rows, settings.num_problems - number * shard_rows)
        with writer_to(folder / f"shard_{number:05d}.{container}", file_format, container) as write:
            while wanted:
                wanted -= write(next(parts))


def _llama_factory(file_format: FileFormat, splits: list[str]) -> dict[str, Any]:
    """What LLaMA-Factory's ``dataset_info.json`` says of the splits; nothing for rows that it does not read."""
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    described: dict[str, dict[str, Any]] = {
        "messages": {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags},
        "text": {"columns": {"prompt": "text"}},
    }
    return {f"igsm_{split}": {"file_name": split, **described[file_format]} for split in splits if file_format in described}


def _card(splits: list[ProblemSetSettings], world: World, file_format: FileFormat, container: Container) -> str:
    total = sum(split.num_problems for split in splits)
    front = {
        "license": "mit",
        "language": ["en"],
        "pretty_name": "iGSM",
        "task_categories": ["text-generation"],
        "tags": ["igsm", "synthetic-math", "reasoning"],
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>100M")],
        "configs": [
            {"config_name": "default", "data_files": [{"split": one.split, "path": f"{one.split}/*.{container}"} for one in splits]},
        ],
    }
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n" + "\n".join(_card_lines(splits, world, file_format)) + "\n"


def _card_lines(splits: list[ProblemSetSettings], world: World, file_format: FileFormat) -> Iterator[str]:
    first = splits[0]
    yield "# iGSM problems"
    yield ""
    yield "Synthetic grade-school math by the law of iGSM (arXiv:2407.20311): a random graph of quantities, a value for each, one question."
    yield "Every solution is right, step by step, modulo a small number. `igsm verify` judges what a model makes of them."
    yield ""
    yield "| split | problems | templates |"
    yield "|---|---|---|"
    bins = {"train": "hash bins 0 to 15", "test": "hash bins 17 to 22: no solution template of train", "all": "all hash bins"}
    yield from (f"| {one.split} | {one.num_problems:,} | {bins[one.split]} |" for one in splits)
    yield ""
    yield "| setting | value |"
    yield "|---|---|"
    yield f"| world | {world.content_hash[:12]} |"
    drawn = {"op law": first.law, "op": first.op, "seed": first.seed, "rows are": file_format}
    yield from (f"| {name} | {value} |" for name, value in (*first.family.canonical().items(), *drawn.items()) if value is not None)
    yield ""
    yield "## How to read it"
    yield ""
    yield "| with | how; FOLDER is this folder |"
    yield "|---|---|"
    yield from (f"| {name} | {how} |" for name, how in _READ[file_format])
