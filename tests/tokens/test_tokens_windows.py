"""Windows and shards hold the documents that were emitted, each whole and in order."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.packed_documents import documents_of
from transformers import AutoTokenizer

from igsm_pipeline.costs import window_fill
from igsm_pipeline.problems import FamilySettings, ProblemBatch, ProblemSetSettings, family_by_name, generate_block
from igsm_pipeline.problems.files import read_problems
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import Emitted, ShardSettings, TokenSettings, build_table, emit, windows
from igsm_pipeline.tokens.settings import Alignment
from igsm_pipeline.tokens.shards import open_shards
from igsm_pipeline.tokens.windows import pack
from igsm_pipeline.tokens.write import write_shards
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

BOS, EOS = 1, 0
ALIGNMENTS: tuple[Alignment, ...] = ("aligned", "best_fit", "single", "stream")
FAMILY = FamilySettings(op_max=3, ip_max=5, modulus=5, op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase")


def made_up(sizes: list[int]) -> Emitted:
    """Documents of the given sizes: BOS, distinct numbers, EOS."""
    documents = [[BOS, *range(10 + 100 * n, 10 + 100 * n + size - 2), EOS] for n, size in enumerate(sizes)]
    offsets = np.cumsum([0, *sizes]).astype(np.int64)
    flat = np.array([one for document in documents for one in document], np.uint32)
    nothing = np.zeros(len(sizes), np.int32)
    return Emitted(flat, offsets, nothing, nothing, nothing, offsets, EOS)


SIZES = st.lists(st.integers(2, 25), max_size=40)


@given(SIZES, st.integers(16, 40))
def test_an_aligned_window_is_an_end_of_text_then_whole_documents_then_padding(sizes: list[int], window: int) -> None:
    emitted = made_up(sizes)
    packed = pack(emitted, window, "aligned")
    found = []
    for row, length in zip(packed.tokens, packed.lengths, strict=True):
        assert row[0] == EOS
        assert row[1] == BOS
        assert (row[length:] == EOS).all()
        found += [one.tolist() for one in documents_of(row, int(length), BOS)]
    wanted = [emitted.document(n).tolist() for n, size in enumerate(sizes) if size <= window - 1]
    assert found == wanted
    assert packed.dropped == len(sizes) - len(wanted)


@given(SIZES, st.integers(16, 40))
def test_a_single_window_is_an_end_of_text_then_one_whole_document_then_padding(sizes: list[int], window: int) -> None:
    emitted = made_up(sizes)
    packed = pack(emitted, window, "single")
    wanted = [emitted.document(n).tolist() for n, size in enumerate(sizes) if size <= window - 1]
    assert [row[1:length].tolist() for row, length in zip(packed.tokens, packed.lengths, strict=True)] == wanted
    for row, length in zip(packed.tokens, packed.lengths, strict=True):
        assert row[0] == EOS
        assert (row[length:] == EOS).all()


@given(SIZES, st.integers(16, 40))
def test_no_aligned_window_has_room_for_the_next_windows_first_document(sizes: list[int], window: int) -> None:
    packed = pack(made_up(sizes), window, "aligned")
    for n in range(len(packed.lengths) - 1):
        first = documents_of(packed.tokens[n + 1], int(packed.lengths[n + 1]), BOS)[0]
        assert packed.lengths[n] + len(first) > window


def fitted_slowly(sizes: list[int], window: int, buffer: int) -> list[list[int]]:
    """Best-fit windows in plain Python, as lists of document numbers: the oldest of the next ones, then again and again the longer of the two
    that fill the rest best (the longest such)."""
    coming, waiting, windows = [n for n, size in enumerate(sizes) if size < window], [], []
    while coming or waiting:
        waiting, coming = waiting + coming[: buffer - len(waiting)], coming[buffer - len(waiting) :]
        chosen, waiting = [waiting[0]], waiting[1:]
        while True:
            room = window - 1 - sum(sizes[n] for n in chosen)
            alone = [(sizes[a], sizes[a]) for a in waiting if sizes[a] <= room]
            pairs = [(sizes[a] + sizes[b], max(sizes[a], sizes[b])) for a, b in combinations(waiting, 2) if sizes[a] + sizes[b] <= room]
            if not alone:
                break
            size = max(alone + pairs)[1]
            chosen.append(next(n for n in waiting if sizes[n] == size))
            waiting.remove(chosen[-1])
        windows.append(sorted(chosen))
    return windows


@given(SIZES, st.integers(16, 70), st.integers(1, 12))
def test_best_fit_windows_hold_whole_documents_that_fill_them_best(sizes: list[int], window: int, buffer: int) -> None:
    emitted = made_up(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BUFFER", buffer)
        packed = pack(emitted, window, "best_fit")
    found = [[one.tolist() for one in documents_of(row, int(length), BOS)] for row, length in zip(packed.tokens, packed.lengths, strict=True)]
    assert found == [[emitted.document(n).tolist() for n in numbers] for numbers in fitted_slowly(sizes, window, buffer)]
    for row, length in zip(packed.tokens, packed.lengths, strict=True):
        assert row[0] == EOS
        assert (row[length:] == EOS).all()
    assert packed.kept.tolist() == [size < window for size in sizes]


@pytest.mark.parametrize(("family", "window"), [("med", 768), ("hard", 1024)])
def test_best_fit_windows_of_the_papers_families_are_filled_as_plans_expect(family: str, window: int) -> None:
    settings, world = family_by_name(family), load_world("igsm")
    batch = generate_block(ProblemSetSettings(family=settings, num_problems=4096, seed=5), world, 0)
    emitted = emit(batch, build_table(world, settings.modulus, TokenSettings()), "pq")
    fills = {one: float(packed.lengths.sum() / packed.tokens.size) for one in ALIGNMENTS for packed in [pack(emitted, window, one)]}
    assert fills["best_fit"] >= 0.97
    assert fills["best_fit"] > fills["aligned"] + 0.2
    for alignment, fill in fills.items():
        expected = window_fill({"alignment": alignment, "window": window}, float(emitted.lengths.mean()))
        assert abs(fill - expected) < 0.03, alignment


@given(SIZES, st.integers(16, 40))
def test_streamed_windows_put_together_are_one_row_of_all_documents(sizes: list[int], window: int) -> None:
    emitted = made_up(sizes)
    packed = pack(emitted, window, "stream")
    kept = [emitted.document(n) for n, size in enumerate(sizes) if size <= window - 1]
    wanted = np.concatenate([[EOS], *kept]) if kept else np.zeros(0)
    assert packed.tokens.reshape(-1)[: packed.lengths.sum()].tolist() == wanted.tolist()
    assert (packed.lengths[:-1] == window).all()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small world and 300 problems."""
    root = tmp_path_factory.mktemp("inputs")
    folders = {"world": root / "world", "problems": root / "problems"}
    for folder in folders.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(folders["world"], False))
    write_problem_set(ProblemSetSettings(family=FAMILY, num_problems=300, block_size=128), folders, Writing(folders["problems"], False))
    return folders


def batch_of(inputs: dict[str, Path]) -> ProblemBatch:
    return read_problems(inputs["problems"], load_world(inputs["world"] / "world.json"), FAMILY.modulus)


def test_shards_hold_every_document_and_a_tokenizer_that_reads_them_back(inputs: dict[str, Path], tmp_path: Path) -> None:
    writing = Writing(tmp_path, False)
    write_shards(ShardSettings(family=FAMILY, tokens=PHRASE, window=256, problems_per_shard=128), inputs, writing)
    shards, batch = open_shards(tmp_path), batch_of(inputs)
    table = build_table(batch.world, FAMILY.modulus, PHRASE)
    emitted = emit(batch, table, "pq")
    tokens, lengths = shards.read(np.arange(shards.num_windows))
    found = [one.tolist() for row, length in zip(tokens, lengths, strict=True) for one in documents_of(row, int(length), table.bos)]
    assert found == [emitted.document(n).tolist() for n in range(300)]
    assert (shards.window, shards.vocab_size, shards.tokens.dtype) == (256, table.size, np.uint16)
    assert writing.counts["problems"] == 300
    assert writing.counts["dropped"] == 0
    assert len(list(tmp_path.glob("shard-*.parquet"))) == 3
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert tokenizer(tokenizer.decode(found[0]))["input_ids"] == found[0]


def test_a_resumed_stage_makes_the_same_shards_and_counts(inputs: dict[str, Path], tmp_path: Path) -> None:
    settings = ShardSettings(family=FAMILY, tokens=PHRASE, window=64, alignment="stream", problems_per_shard=100)
    whole = Writing(tmp_path, False)
    write_shards(settings, inputs, whole)
    before = open_shards(tmp_path)
    (tmp_path / "shard-00001.parquet").unlink()
    again = Writing(tmp_path, True)
    write_shards(settings, inputs, again)
    np.testing.assert_array_equal(before.tokens, open_shards(tmp_path).tokens)
    assert whole.counts == again.counts


def test_the_summary_counts_ops_per_shard_and_names_those_dropped(inputs: dict[str, Path], tmp_path: Path) -> None:
    batch = batch_of(inputs)
    sizes = emit(batch, build_table(batch.world, FAMILY.modulus, PHRASE), "pq").lengths
    window = int(np.median(sizes))
    write_shards(ShardSettings(family=FAMILY, tokens=PHRASE, window=window, problems_per_shard=128), inputs, Writing(tmp_path, False))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [one["file"] for one in summary["shards"]] == [path.name for path in sorted(tmp_path.glob("shard-*.parquet"))]
    for number, one in enumerate(summary["shards"]):
        rows = slice(128 * number, 128 * number + 128)
        ops, too_long = batch.records["op"][rows].tolist(), sizes[rows] >= window
        assert one["op_histogram"] == [ops.count(op) for op in range(max(ops) + 1)]
        assert sum(one["dropped_ops"]) == one["dropped"] == too_long.sum() > 0
        dropped = [op for op, long in zip(ops, too_long, strict=True) if long]
        assert one["dropped_ops"] == [dropped.count(op) for op in range(max(dropped) + 1)]
