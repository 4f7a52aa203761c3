"""Streamed windows are the shards' windows, whoever makes them and wherever reading begins; a streamed model is the stored one's equal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.problems import FamilySettings, ProblemSetSettings
from igsm_pipeline.problems.settings import RetrySettings
from igsm_pipeline.problems.write import write_problem_set
from igsm_pipeline.store import Writing
from igsm_pipeline.tokens import ShardSettings, TokenSettings, emit
from igsm_pipeline.tokens.drills import longest_drill
from igsm_pipeline.tokens.settings import DrillSettings
from igsm_pipeline.tokens.shards import Shards, open_shards
from igsm_pipeline.tokens.write import write_shards
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.loop import train
from igsm_pipeline.training.settings import CheckpointSettings, StreamSettings, TrainingSettings
from igsm_pipeline.training.stream import ShardMaker, StreamedWindows
from igsm_pipeline.training.write import write_checkpoint
from igsm_pipeline.world import load_world
from igsm_pipeline.world.settings import WorldSettings
from igsm_pipeline.world.write import write_world

FAMILY = FamilySettings(op_max=2, ip_max=4, modulus=5, op_law="uniform", split_by="problem")
PHRASE = TokenSettings(segmentation="phrase")
WINDOW, BLOCK, PER_SHARD = 96, 32, 2
SHARDS = 3


def stream_of(alignment: str = "aligned") -> StreamSettings:
    return StreamSettings.model_validate({"window": WINDOW, "alignment": alignment, "seed": 4, "block_size": BLOCK, "blocks_per_shard": PER_SHARD})


def maker_of(alignment: str = "aligned") -> ShardMaker:
    return ShardMaker(stream_of(alignment), FAMILY, PHRASE, load_world("mini"), order_seed=9)


def write_inputs(root: Path, num_shards: int, alignment: str = "aligned") -> dict[str, Path]:
    """A small world, the stored shards of the same key, and problems to monitor."""
    folders = {name: root / name for name in ("world", "problems", "shards", "monitor")}
    for folder in folders.values():
        folder.mkdir()
    write_world(WorldSettings(source="mini"), {}, Writing(folders["world"], False))
    problems = ProblemSetSettings(family=FAMILY, num_problems=num_shards * PER_SHARD * BLOCK, block_size=BLOCK, seed=4)
    write_problem_set(problems, folders, Writing(folders["problems"], False))
    monitored = ProblemSetSettings(family=FAMILY, num_problems=4, block_size=8, balanced=True, split="test", stream="monitor")
    write_problem_set(monitored, folders, Writing(folders["monitor"], False))
    stored = {"family": FAMILY, "tokens": PHRASE, "window": WINDOW, "alignment": alignment, "problems_per_shard": PER_SHARD * BLOCK}
    write_shards(ShardSettings.model_validate(stored), folders, Writing(folders["shards"], False))
    return folders


def rows_of(tokens: np.ndarray, lengths: np.ndarray) -> list[tuple[int, ...]]:
    return sorted((int(length), *row) for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True))


@pytest.mark.parametrize("alignment", ["aligned", "best_fit", "single", "stream"])
def test_the_stream_holds_the_windows_of_the_shards(tmp_path: Path, alignment: str) -> None:
    stored = open_shards(write_inputs(tmp_path, SHARDS, alignment)["shards"])
    with StreamedWindows(maker_of(alignment), workers=0) as source:
        streamed = source.read(np.arange(stored.num_windows))
    assert rows_of(*streamed) == rows_of(stored.tokens, stored.lengths)
    assert not np.array_equal(streamed[0], stored.tokens), "shards are shuffled"


def test_windows_do_not_depend_on_the_workers_or_on_how_they_are_asked_for() -> None:
    with StreamedWindows(maker_of(), workers=0) as source:
        wanted = source.read(np.arange(100))
    for workers in (1, 2):
        with StreamedWindows(maker_of(), workers) as source:
            source.resume({"shard": 0, "first_window": 0})
            parts = [source.read(np.arange(start, start + 10)) for start in range(0, 100, 10)]
        np.testing.assert_array_equal(np.concatenate([tokens for tokens, _ in parts]), wanted[0])
        np.testing.assert_array_equal(np.concatenate([lengths for _, lengths in parts]), wanted[1])


def test_reading_goes_on_from_any_position_without_the_shards_before_it() -> None:
    with StreamedWindows(maker_of(), workers=0) as source:
        wanted = source.read(np.arange(200))[0]
        starts = list(source._starts)
        positions = {index: source.position(index) for index in (0, 1, starts[1] - 1, starts[1], starts[2] + 3)}
    for index, position in positions.items():
        made: list[int] = []

        class Counting(ShardMaker):
            def make(self, number: int, made: list[int] = made) -> object:  # type: ignore[override]
                made.append(number)
                return super().make(number)

        again = StreamedWindows(Counting(**vars(maker_of())), workers=0)
        again.resume(json.loads(json.dumps(position)))
        np.testing.assert_array_equal(again.read(np.arange(index, index + 20))[0], wanted[index : index + 20])
        assert min(made) == position["shard"] == sum(index >= start for start in starts[1:])


def test_the_ranks_of_one_step_read_what_one_process_reads() -> None:
    batch = np.arange(40, 60)
    with StreamedWindows(maker_of(), workers=0) as whole:
        wanted = whole.read(batch)[0]
    parts = [StreamedWindows(maker_of(), workers=0).read(part)[0] for part in np.array_split(batch, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), wanted)


def test_a_window_shorter_than_every_problem_is_refused() -> None:
    maker = ShardMaker(StreamSettings(window=16, block_size=8, blocks_per_shard=1), FAMILY, PHRASE, load_world("mini"), 0)
    with StreamedWindows(maker, workers=1) as source, pytest.raises(StageFailed, match=r"longer than shards\.window, which is 16"):
        source.read(np.arange(1))


def settings_of(stream: StreamSettings | None, num_steps: int = 12) -> CheckpointSettings:
    training = TrainingSettings(
        num_steps=num_steps, batch_windows=3, warmup_steps=2, precision="fp32", log_every_steps=1, checkpoint_every_steps=2, seed=9,
        accuracy_every_steps=0, device="cpu",
    )  # fmt: skip
    tiny = ModelSettings(layers=1, heads=2, head_width=16, partial_rotary_factor=0.5)
    return CheckpointSettings(family=FAMILY, tokens=PHRASE, stream=stream, model=tiny, training=training)


def test_a_streamed_model_equals_the_stored_one_bit_for_bit(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    inputs = write_inputs(tmp_path, 1)
    num_steps = open_shards(inputs["shards"]).num_windows // 3
    weights, curves = [], []
    for stream in (None, stream_of()):
        folder = tmp_path / f"streamed-{stream is not None}"
        folder.mkdir()
        given = {role: path for role, path in inputs.items() if stream is None or role != "shards"}
        write_checkpoint(settings_of(stream, num_steps), given, Writing(folder, False))
        weights.append(load_file(folder / "model.safetensors"))
        curves.append([(row["step"], row["loss"], row["tokens"]) for row in read_metrics(folder)])
    assert num_steps >= 10
    assert curves[0] == curves[1]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_killed_streamed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    inputs = write_inputs(tmp_path, 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    write_checkpoint(settings_of(stream_of(), 60), inputs, Writing(whole, False))
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import {Path(__file__).stem} as t; from pathlib import Path\n"
    program += "import torch; torch.set_num_threads(1)\n"
    program += f"inputs = {{name: Path(path) for name, path in { ({name: str(path) for name, path in inputs.items()})!r}.items()}}\n"
    program += f"if __name__ == '__main__': t.write_checkpoint(t.settings_of(t.stream_of(), 60), inputs, t.Writing(Path({str(broken)!r}), False))"
    file = tmp_path / "program.py"
    file.write_text(program)
    with subprocess.Popen(
        [sys.executable, str(file)], stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as child:
        end = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < end and not list((broken / "state").glob("step-00000002?/state.json")):
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert child.returncode == -signal.SIGKILL
    again = Writing(broken, True)
    write_checkpoint(settings_of(stream_of(), 60), inputs, again)
    assert int(again.counts["resumed_step"] or 0) >= 20
    wanted, found = load_file(whole / "model.safetensors"), load_file(broken / "model.safetensors")
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    curve = [[(row["step"], row["loss"], row["tokens"]) for row in read_metrics(folder)] for folder in (whole, broken)]
    assert curve[0] == curve[1]


def test_a_resumed_training_makes_no_shard_before_its_place(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    made: list[int] = []

    class Counting(ShardMaker):
        def make(self, number: int) -> object:  # type: ignore[override]
            made.append(number)
            return super().make(number)

    def trained(num_steps: int) -> None:
        model = gpt2_rotary.build(ModelSettings(layers=1, heads=1, head_width=8), maker_of().table.size, WINDOW, 3)
        asked = settings_of(None, num_steps).training.model_copy(update={"batch_windows": 24})
        train(model, StreamedWindows(Counting(**vars(maker_of())), workers=0), asked, tmp_path)

    trained(6)
    last = max(made)
    assert last >= 2
    made.clear()
    trained(7)
    assert min(made) >= last - 1


def test_shards_satisfy_what_training_reads_and_only_streams_have_positions() -> None:
    from igsm_pipeline.training.batches import EndlessWindows, Windows  # noqa: PLC0415

    stored: Windows = Shards(np.zeros((1, 4), np.uint16), np.zeros(1, np.int32), {}, 4)
    assert not isinstance(stored, EndlessWindows)
    assert isinstance(StreamedWindows(maker_of(), 0), EndlessWindows)


@pytest.mark.parametrize("alignment", ["aligned", "single"])
def test_retries_stand_in_the_stream_as_in_stored_shards_and_masked_names_are_not_learned(tmp_path: Path, alignment: str) -> None:
    retry, tokens = RetrySettings(rate=0.5, seed=2), PHRASE.model_copy(update={"back": True})
    inputs = write_inputs(tmp_path, SHARDS, alignment)
    stored = ShardSettings(family=FAMILY, tokens=tokens, window=WINDOW, alignment=alignment, problems_per_shard=BLOCK * PER_SHARD, retry=retry)
    (tmp_path / "retried").mkdir()
    write_shards(stored, inputs, Writing(tmp_path / "retried", False))
    shards, stream = open_shards(tmp_path / "retried"), stream_of(alignment).model_copy(update={"retry": retry})
    maker = ShardMaker(stream, FAMILY, tokens, load_world("mini"), order_seed=9)
    assert maker.table.back is not None
    assert (shards.tokens == maker.table.back).sum() > 30
    with StreamedWindows(maker, workers=0) as source:
        streamed = source.read(np.arange(shards.num_windows))
    assert rows_of(*streamed) == rows_of(shards.tokens, shards.lengths)
    learned = {}
    for mask in (False, True):
        settings = settings_of(stream, 2)
        training = settings.training.model_copy(update={"mask_wrong_names": mask, "log_every_steps": 1})
        folder = tmp_path / f"masked {mask}"
        folder.mkdir()
        write_checkpoint(settings.model_copy(update={"tokens": tokens, "training": training}), inputs, Writing(folder, False))
        learned[mask] = [row["loss"] for row in read_metrics(folder) if "loss" in row]
    assert learned[True] != learned[False]


@pytest.mark.parametrize("alignment", ["aligned", "single"])
def test_drills_stand_in_the_stream_as_in_stored_shards(tmp_path: Path, alignment: str) -> None:
    drills, family = DrillSettings(share=0.4, seed=3), FAMILY.model_copy(update={"op_max": 3})
    inputs = write_inputs(tmp_path, SHARDS, alignment)
    training = {"family": family, "num_problems": SHARDS * PER_SHARD * BLOCK, "block_size": BLOCK, "seed": 4}
    (tmp_path / "own").mkdir()
    write_problem_set(ProblemSetSettings.model_validate(training), inputs, Writing(tmp_path / "own", False))
    stored = ShardSettings(family=family, tokens=PHRASE, window=WINDOW, alignment=alignment, problems_per_shard=BLOCK * PER_SHARD, drills=drills)
    (tmp_path / "drilled").mkdir()
    write_shards(stored, inputs | {"problems": tmp_path / "own"}, Writing(tmp_path / "drilled", False))
    shards = open_shards(tmp_path / "drilled")
    stream = stream_of(alignment).model_copy(update={"drills": drills})
    maker = ShardMaker(stream, family, PHRASE, load_world("mini"), order_seed=9)
    with StreamedWindows(maker, workers=0) as source:
        streamed = source.read(np.arange(shards.num_windows))
    assert rows_of(*streamed) == rows_of(shards.tokens, shards.lengths)
    flat = shards.tokens.reshape(-1)
    begun = int(((flat[:-1] == maker.table.bos) & (flat[1:] == maker.table.solution)).sum())
    assert begun == SHARDS * round(PER_SHARD * BLOCK * 0.4 / 0.6)


def test_the_shards_that_lead_a_stream_are_drills_by_nine_tenths_and_no_longer_than_others() -> None:
    family, world = FAMILY.model_copy(update={"op_max": 3}), load_world("mini")
    large = stream_of("single").model_copy(update={"block_size": 500, "drills": DrillSettings(share=0.2, lead=2)})
    maker = ShardMaker(large, family, PHRASE, world, order_seed=9)
    for number, share in enumerate((0.9, 0.9, 0.2, 0.2)):
        tokens, lengths = maker.make(number)
        drills = int((tokens[:, 2] == maker.table.solution).sum())
        assert drills / len(lengths) == pytest.approx(share, abs=0.01)
        assert len(lengths) == pytest.approx(1000 if number < 2 else 1250, rel=0.03)
        plain = ShardMaker(stream_of("single").model_copy(update={"block_size": 500}), family, PHRASE, world, order_seed=9).make(number)
        own = {row.tobytes() for row in tokens[tokens[:, 2] != maker.table.solution]}
        assert own <= {row.tobytes() for row in plain[0]}, "its problems are some of the stream's"


def test_a_window_for_drills_alone_is_refused() -> None:
    family = FamilySettings(op_max=3, ip_max=12, modulus=5, num_symbols=10)
    longest = longest_drill(maker_of().table, load_world("mini"), family) + 1
    stream = StreamSettings(window=longest, alignment="single", block_size=1, blocks_per_shard=1, drills=DrillSettings(share=0.9))
    maker = ShardMaker(stream, family, PHRASE, load_world("mini"), order_seed=9)
    number = next(number for number in range(400) if maker.blocks.make(number).records["op"][0] == 3 and not fits(maker, number, longest))
    with pytest.raises(StageFailed, match=r"all 1 problems are longer than shards\.window"):
        maker.make(number)


def fits(maker: ShardMaker, number: int, window: int) -> bool:
    """Whether the first problem of a shard fits into a window."""
    return bool(emit(maker.blocks.make(number), maker.table, "pq").lengths[0] < window)
