"""The training step of a GPU, as far as a processor can tell: one graph, one shape, no mask, and nothing that waits for the GPU between log rows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference.compiling import NOT_RUN, Graphs, Waits, raises
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AttentionInterface, PreTrainedModel

from igsm_pipeline.errors import StageFailed
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.training import loop, one_graph
from igsm_pipeline.training.batches import IGNORED, labels_of
from igsm_pipeline.training.curves import read_metrics
from igsm_pipeline.training.loop import train
from igsm_pipeline.training.one_graph import WindowLoss, causal_attention, compiles, reading_windows
from igsm_pipeline.training.processes import Ranks
from igsm_pipeline.training.settings import TrainingSettings
from igsm_pipeline.training.steps import loss_sum
from igsm_pipeline.training.trainer import Batch, Trainer

LAYERS, VOCAB, WINDOW, CPU = 2, 31, 24, torch.device("cpu")


def model_of() -> PreTrainedModel:
    return gpt2_rotary.build(ModelSettings(layers=LAYERS, heads=2, head_width=16, partial_rotary_factor=0.5), VOCAB, WINDOW, 3)


def windows_of(number: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, VOCAB, (number, WINDOW)).astype(np.uint16), rng.integers(WINDOW // 2, WINDOW + 1, number)


def batch_of(number: int, seed: int = 0) -> Batch:
    windows, lengths = windows_of(number, seed)
    return windows, labels_of(windows, lengths, None, None), lengths


def tensors_of(batch: Batch) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(batch[0][:, :-1].astype(np.int64)), torch.from_numpy(batch[1])


def settings_of(**changes: Any) -> TrainingSettings:
    plain = {"num_steps": 7, "batch_windows": 10, "warmup_steps": 2, "precision": "fp32", "device": "cpu", "micro_batch": 4, "learning_rate": 0.01}
    return TrainingSettings.model_validate({**plain, "log_every_steps": 3, "accuracy_every_steps": 0, **changes})


class AsOnAGpu(Trainer):
    """A trainer that does on the processor what it would do on a GPU: the loss as one graph, results read late."""

    def __init__(self, model: PreTrainedModel, settings: TrainingSettings, ranks: Ranks) -> None:
        super().__init__(model, settings, ranks)
        self.waits, self.packs, self.graph = False, False, WindowLoss(self.model)


def test_the_compiled_loss_is_one_graph_whose_attention_is_causal_without_a_mask() -> None:
    model, graphs = model_of(), Graphs()
    ids, labels = tensors_of(batch_of(4))
    loss = WindowLoss(model, graphs)(ids, labels)
    assert len(graphs.found) == 1
    assert len(graphs.attention()) == LAYERS
    assert all(one.get("attn_mask") is None and one["is_causal"] is True for one in graphs.attention())
    wanted = loss_sum(model.base_model, model.get_output_embeddings(), ids, labels)
    torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=0)
    torch.autograd.backward(loss)
    found = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    torch.autograd.backward(wanted)
    for one, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_attention_that_transformers_brings_is_traced_with_a_mask() -> None:
    """The reason for an attention of our own; if this fails, transformers needs it no more."""
    model, graphs = model_of(), Graphs()
    torch.compile(model.base_model, backend=graphs)(input_ids=tensors_of(batch_of(4))[0], use_cache=False)
    assert any(one.get("attn_mask") is not None and not one["is_causal"] for one in graphs.attention())


def test_causal_attention_is_transformers_own_to_the_bit_and_refuses_a_mask() -> None:
    model = model_of()
    ids, _ = tensors_of(batch_of(4))
    wanted = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    with reading_windows(model):
        assert model.config._attn_implementation == one_graph.CAUSAL
        found = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        with pytest.raises(ValueError, match="without a mask"):
            causal_attention(model, *[torch.zeros(1, 1, 2, 2)] * 3, torch.ones(1, 1, 2, 2), 1.0)
    assert torch.equal(found, wanted)
    assert model.config._attn_implementation == "sdpa", "decoding needs masks again"


def test_compiled_code_sees_one_shape_in_thirty_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = AsOnAGpu(model_of(), settings_of(num_steps=30), Ranks(0, 1, CPU))
    trainer.compiled, plain, shapes = True, trainer.graph, set()

    def seen(ids: Tensor, labels: Tensor) -> Tensor:
        assert plain is not None
        shapes.add(tuple(ids.shape))
        return plain(ids, labels)

    monkeypatch.setattr(trainer, "graph", seen)
    labelled = []
    for step in range(30):
        batch = batch_of(10, step)
        trainer.launch(step, batch)
        labelled.append(int((batch[1] != IGNORED).sum()))
    assert shapes == {(4, WINDOW - 1)}
    assert [one.loss_tokens for one in trainer.results()] == labelled


def test_states_and_what_attention_reads_are_bfloat16_from_the_embedding_on(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen, read = model_of(), [], set()

    def noting(module: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **more: Any) -> Any:
        read.update((query.dtype, key.dtype, value.dtype))
        return causal_attention(module, query, key, value, *rest, **more)

    for layer in model.gpt_neox.layers:
        layer.register_forward_hook(lambda _module, inputs, output: seen.extend((inputs[0].dtype, output.dtype)))
    monkeypatch.setitem(AttentionInterface._global_mapping, one_graph.CAUSAL, noting)
    batch, losses = batch_of(10), {}
    for precision in ("fp32", "bf16"):
        trainer = AsOnAGpu(model, settings_of(precision=precision), Ranks(0, 1, CPU))
        seen.clear()
        read.clear()
        losses[precision] = trainer._gradients(batch, 1)
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        assert read == {kind}
        assert set(seen) == {kind}
        assert len(seen) == 2 * LAYERS * 3, "three micro-batches"
        assert {parameter.grad.dtype for parameter in model.parameters() if parameter.grad is not None} == {torch.float32}
    assert losses["bf16"] != losses["fp32"]
    assert float(losses["bf16"]) == pytest.approx(float(losses["fp32"]), rel=2e-3)


class Sides(TorchDispatchMode):
    """The sides of every product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None) -> Any:
        if function.overloadpacket.__name__ in ("mm", "addmm", "bmm", "baddbmm"):
            self.found |= {side for one in arguments if isinstance(one, Tensor) and one.ndim > 1 for side in one.shape}
        return function(*arguments, **(keywords or {}))


def test_the_sides_of_products_are_multiples_of_eight_but_for_the_number_of_positions() -> None:
    ids, labels = tensors_of(batch_of(4))
    assert VOCAB % 8, "the head has an odd number of rows"
    with Sides() as sides:
        torch.autograd.backward(WindowLoss(model_of())(ids, labels))
    assert len(sides.found) > 3
    assert [side for side in sides.found if side % 8 and side != ids.numel()] == []


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_nothing_waits_for_the_gpu_until_results_are_read(monkeypatch: pytest.MonkeyPatch, optimizer: str) -> None:
    trainer = AsOnAGpu(model_of(), settings_of(optimizer=optimizer), Ranks(0, 1, CPU))
    trainer.step(0, batch_of(10))  # optimizers make their state in the first step
    with Waits() as waits:
        trainer.launch(1, batch_of(10))
        trainer.launch(2, batch_of(10))
    assert waits.found == []
    with Waits() as waits:
        trainer.results()
    assert waits.found, "reading waits, and is seen to"
    monkeypatch.setattr(trainer, "graph", lambda ids, labels: loss_sum(trainer.model.base_model, trainer.model.get_output_embeddings(), ids, labels))
    with Waits() as waits:
        trainer.launch(3, batch_of(10))
    assert waits.found, "the loss of a processor selects positions, which would wait"


class Source:
    num_windows, window = 40, WINDOW

    def __init__(self) -> None:
        self.ids, self.lengths = windows_of(40)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        return self.ids[indices], self.lengths[indices]


def test_a_training_whose_results_are_read_late_is_the_same_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, models = [], []
    for name, trainer in (("now", Trainer), ("late", AsOnAGpu)):
        monkeypatch.setattr(loop, "Trainer", trainer)
        (tmp_path / name).mkdir()
        models.append(model_of())
        result = train(models[-1], Source(), settings_of(checkpoint_every_steps=2), tmp_path / name)
        rows.append([result["tokens"], *read_metrics(tmp_path / name)])
    assert rows[0][0] == rows[1][0]
    assert [row["step"] for row in rows[0][1:]] == [3, 6, 7] == [row["step"] for row in rows[1][1:]]
    for now, late in zip(rows[0][1:], rows[1][1:], strict=True):
        assert (late["tokens"], late["loss"], late["grad_norm"]) == pytest.approx((now["tokens"], now["loss"], now["grad_norm"]), rel=1e-4)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_loss_that_is_not_finite_is_reported_at_the_next_log_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Trainer", AsOnAGpu)
    model = model_of()
    with torch.no_grad():
        model.get_input_embeddings().weight[0] = float("nan")
    with pytest.raises(StageFailed, match="diverged at step 1"):
        train(model, Source(), settings_of(), tmp_path)
    assert "diverged at step 1" in read_metrics(tmp_path)[-1]["warning"]


@pytest.mark.parametrize("error", NOT_RUN)
def test_what_does_not_compile_or_cannot_be_launched_is_computed_without_compiling(caplog: pytest.LogCaptureFixture, error: type[Exception]) -> None:
    def broken(graph: torch.fx.GraphModule, _: Any) -> Any:
        return raises(error)

    plain, failing = (AsOnAGpu(model_of(), settings_of(), Ranks(0, 1, CPU)) for _ in range(2))
    failing.compiled, failing.graph = True, WindowLoss(failing.model, broken)
    with caplog.at_level(logging.WARNING):
        results = [failing.step(step, batch_of(10, step)) for step in range(2)]
    assert "not on this card" in caplog.text
    assert not failing.compiled
    assert [one.loss for one in results] == pytest.approx([plain.step(step, batch_of(10, step)).loss for step in range(2)], rel=1e-5)


def test_a_gpu_compiles_by_itself_where_it_can(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    gpu = torch.device("cuda")
    assert TrainingSettings().compile == "auto"
    monkeypatch.setattr(one_graph.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(one_graph.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert [compiles("auto", gpu), compiles("auto", CPU), compiles(False, gpu), compiles(True, CPU)] == [True, False, False, True]
    assert not caplog.records
    monkeypatch.setattr(one_graph.importlib.util, "find_spec", lambda name: None)
    assert not compiles("auto", gpu)
    assert "has not Triton" in caplog.text
