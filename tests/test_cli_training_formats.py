"""Rows for training elsewhere: the fields that other programs read, the same problems as whole rows, and splits that share no template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from igsm_pipeline.cli import main
from igsm_pipeline.text.retries import BACK, without_retries
from igsm_pipeline.toolbox import dataset
from igsm_pipeline.world import load_world

ROOT = Path(__file__).parents[1]
MINI = ("--world", "mini", "--seed", 3, "--jobs", 1)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))


@pytest.fixture
def family(tmp_path: Path) -> Path:
    path = tmp_path / "family.yaml"
    path.write_text("{op_max: 4, ip_max: 6, modulus: 5, op_law: uniform, format: qp}")
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def loose_mini(folder: Path) -> tuple[str, ...]:
    """Options that take the names of mini by the looser rules."""
    (folder / "loose.json").write_text(json.dumps(load_world("mini").document()))
    return "--world", str(folder / "loose.json"), "--lenient"


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def generate(out: Path, family: Path, *options: object) -> Path:
    assert run("generate", "--family", family, "--out", out, *MINI, *options) == 0
    return out


def said_of(row: dict[str, Any]) -> tuple[str, str]:
    """What user and assistant say of a whole row of format qp."""
    return (row["question"] + row["problem"]).strip(), f"{row['solution'].strip()}\n#### {row['answer'].strip()}"


def test_rows_for_training_say_what_whole_rows_say(tmp_path: Path, family: Path) -> None:
    whole = lines_of(generate(tmp_path / "rows.jsonl", family, "--num", 30))
    chats = lines_of(generate(tmp_path / "chats.jsonl", family, "--num", 30, "--format", "messages"))
    texts = lines_of(generate(tmp_path / "texts.jsonl", family, "--num", 30, "--format", "text"))
    bare = lines_of(generate(tmp_path / "bare.jsonl", family, "--num", 30, "--format", "nanochat"))
    hashed = load_world("mini").content_hash
    for row, chat, text, messages in zip(whole, chats, texts, bare, strict=True):
        asked, said = said_of(row)
        assert messages == [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        facts = {"op": row["op"], "answer": row["answer"].strip(), "modulus": 5, "world": "mini", "world_hash": hashed}
        assert chat == {"messages": messages, **facts}
        assert text == {"text": f"{asked}\n{said}", **facts}


@pytest.mark.parametrize("layout", ["messages", "text"])
def test_parquet_holds_the_training_rows_of_json_lines_and_both_are_judged_right(tmp_path: Path, family: Path, layout: str) -> None:
    lines = generate(tmp_path / "a.jsonl", family, "--num", 12, "--format", layout)
    table = generate(tmp_path / "a.parquet", family, "--num", 12, "--format", layout)
    assert pq.read_table(table).to_pylist() == lines_of(lines) == pl.read_parquet(table).to_dicts()
    for path in (lines, table):
        assert run("verify", path, "--out", tmp_path / "verdicts.jsonl") == 0
        assert all(one["correct"] for one in lines_of(tmp_path / "verdicts.jsonl"))


def test_loose_names_and_letters_are_written_like_strict_ones(tmp_path: Path, family: Path) -> None:
    for layout in ("messages", "text"):
        strict, loose = (
            generate(tmp_path / f"{layout}{len(more)}.jsonl", family, "--num", 9, "--format", layout, *more) for more in ((), loose_mini(tmp_path))
        )
        same = [{name: value for name, value in row.items() if not name.startswith("world")} for row in lines_of(loose)]
        assert same == [{name: value for name, value in row.items() if not name.startswith("world")} for row in lines_of(strict)]


@pytest.mark.parametrize("layout", ["messages", "text", "nanochat", "jsonl", "parquet"])
def test_shards_are_the_rows_of_one_file_cut_where_asked(tmp_path: Path, family: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    monkeypatch.setattr(dataset, "_PART", 7)
    suffix = "parquet" if layout in ("text", "parquet") else "jsonl"
    read = (lambda path: pq.read_table(path).to_pylist()) if suffix == "parquet" else lines_of
    folder = generate(tmp_path / "set", family, "--num", 50, "--test-num", 20, "--shard-rows", 16, "--format", layout)
    shards = sorted((folder / "train").iterdir())
    assert [path.name for path in shards] == [f"shard_{number:05d}.{suffix}" for number in range(4)]
    parts = [read(path) for path in shards]
    assert [len(part) for part in parts] == [16, 16, 16, 2]
    one = generate(tmp_path / f"one.{suffix}", family, "--num", 50, "--format", layout)
    assert [row for part in parts for row in part] == read(one)
    assert sum(len(read(path)) for path in (folder / "test").iterdir()) == 20
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_train_and_test_share_no_template_and_the_card_says_where_they_are(tmp_path: Path, family: Path) -> None:
    folder = generate(tmp_path / "set", family, "--num", 200, "--test-num", 100, "--shard-rows", 100, "--format", "parquet")
    train, test = (set(pl.read_parquet(folder / split / "*.parquet")["hash"]) for split in ("train", "test"))
    assert train <= set(range(16))
    assert test <= set(range(17, 23))
    assert len(train) > 8
    said = DatasetCard.load(folder / "README.md").data.to_dict()
    files = [{"split": split, "path": f"{split}/*.parquet"} for split in ("train", "test")]
    assert said["configs"] == [{"config_name": "default", "data_files": files}]
    assert (said["license"], said["size_categories"]) == ("mit", ["n<1K"])


def test_llama_factory_finds_its_fields(tmp_path: Path, family: Path) -> None:
    folder = generate(tmp_path / "set", family, "--num", 4, "--shard-rows", 4, "--format", "messages")
    (info,) = json.loads((folder / "dataset_info.json").read_text()).values()
    (row,) = lines_of(folder / info["file_name"] / "shard_00000.jsonl")[:1]
    roles = [one[info["tags"]["role_tag"]] for one in row[info["columns"]["messages"]]]
    assert roles == [info["tags"]["user_tag"], info["tags"]["assistant_tag"]]
    assert all(isinstance(one[info["tags"]["content_tag"]], str) for one in row["messages"])
    plain = generate(tmp_path / "plain", family, "--num", 4, "--shard-rows", 4, "--format", "text")
    (info,) = json.loads((plain / "dataset_info.json").read_text()).values()
    assert info["columns"]["prompt"] in pq.read_schema(plain / info["file_name"] / "shard_00000.parquet").names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "nanochat", "--out", "a.parquet"), "must end as the format jsonl does"),
        (("--shard-rows", 5), "must both be given"),
        (("--test-num", 5, "--out", "set"), "must both be given"),
        (("--shard-rows", 5, "--out", "full"), "must be a new or empty folder"),
        (("--shard-rows", 5, "--out", "none/set"), "must lie in a folder that exists"),
        (("--shard-rows", 5, "--test-num", 5, "--split", "all", "--out", "set"), "must go with --split train"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: tuple[object, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dataset, "generate", None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    assert run("generate", "--num", 10, *options) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["messages", "text", "parquet"])
def test_hugging_face_datasets_reads_the_folder(tmp_path: Path, family: Path, layout: str) -> None:
    datasets = pytest.importorskip("datasets")
    folder = generate(tmp_path / "set", family, "--num", 10, "--test-num", 4, "--shard-rows", 4, "--format", layout)
    read = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in read.items()} == {"train": 10, "test": 4}


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["messages", "text"])
def test_trl_trains_on_it(tmp_path: Path, family: Path, layout: str) -> None:
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    folder = generate(tmp_path / "set", family, "--num", 8, "--shard-rows", 4, "--format", layout)
    rows = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    how = trl.SFTConfig(output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=2, report_to="none", use_cpu=True, bf16=False)
    trainer = trl.SFTTrainer(str(ROOT / "data" / "published" / "small"), train_dataset=rows, args=how)
    assert trainer.train().training_loss < 20


@pytest.mark.parametrize("kind", ["retry", "weak", "miss"])
@pytest.mark.parametrize("loose", [False, True])
def test_retries_are_taken_back_and_the_rows_still_judged_right(
    tmp_path: Path, family: Path, capsys: pytest.CaptureFixture[str], kind: str, loose: bool
) -> None:
    """Without its retries a row is the row without retries; `igsm verify` counts every one and finds all right, also in a world of loose names."""
    options = ("--format", "messages", "--num", 40, *(loose_mini(tmp_path) if loose else ()))
    plain = lines_of(generate(tmp_path / "plain.jsonl", family, *options))
    retried = lines_of(generate(tmp_path / "retried.jsonl", family, *options, "--retry", 0.5, "--retry-kind", kind))
    taken_back = 0
    for before, after in zip(plain, retried, strict=True):
        said = after["messages"][1]["content"]
        solution, names = without_retries(f" {said}")
        taken_back += len(names)
        after["messages"][1]["content"] = solution.strip()
        assert after == before
    assert taken_back > 40
    capsys.readouterr()
    verdicts = tmp_path / "verdicts.jsonl"
    assert run("verify", tmp_path / "retried.jsonl", "--out", verdicts) == 0
    judged = lines_of(verdicts)
    assert all(row["correct"] for row in judged)
    assert sum(row["retries"] for row in judged) == taken_back


def test_whole_rows_hold_no_retries_and_test_problems_of_a_folder_neither(tmp_path: Path, family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "--family", family, "--retry", 0.5, *MINI) == 2
    assert "--retry must go with a --format for training" in capsys.readouterr().err
    folder = generate(tmp_path / "set", family, "--format", "text", "--num", 20, "--test-num", 20, "--shard-rows", 20, "--retry", 0.5)
    texts = {split: "".join(pq.read_table(folder / split / "shard_00000.parquet")["text"].to_pylist()) for split in ("train", "test")}
    assert BACK in texts["train"]
    assert BACK not in texts["test"]
