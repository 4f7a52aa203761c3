"""Claims about GPT2-l-h: its function, its initialisation, its files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoXForCausalLM

from igsm_pipeline.errors import BadCheckpoint, BadSettings
from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings

TINY = ModelSettings(layers=3, heads=2, head_width=16, partial_rotary_factor=0.5)


@pytest.fixture
def model() -> GPTNeoXForCausalLM:
    return gpt2_rotary.build(TINY, vocab_size=37, context=64, seed=3).eval()


def reference_logits(model: GPTNeoXForCausalLM, ids: list[int], settings: ModelSettings) -> torch.Tensor:
    """Pre-norm GPT-2 with rotary positions, written out one head and one position at a time, float64."""
    weights = {name: parameter.detach().double() for name, parameter in model.named_parameters()}
    width, head = settings.width, settings.head_width
    rotated = int(head * settings.partial_rotary_factor)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-5) * weights[name + ".weight"] + weights[name + ".bias"]

    def rotate(vector: torch.Tensor, position: int) -> torch.Tensor:
        out = vector.clone()
        half = rotated // 2
        for i in range(half):
            angle = position * 10_000.0 ** (-2 * i / rotated)
            a, b = vector[i], vector[i + half]
            out[i], out[i + half] = a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)
        return out

    x = weights["gpt_neox.embed_in.weight"][ids]
    for layer in range(settings.layers):
        at = f"gpt_neox.layers.{layer}."
        y = norm(x, at + "input_layernorm")
        qkv = y @ weights[at + "attention.query_key_value.weight"].T + weights[at + "attention.query_key_value.bias"]
        mixed = torch.zeros(len(ids), width, dtype=torch.float64)
        for h in range(settings.heads):
            q, k, v = qkv[:, h * 3 * head : (h + 1) * 3 * head].split(head, dim=1)
            q = torch.stack([rotate(row, t) for t, row in enumerate(q)])
            k = torch.stack([rotate(row, t) for t, row in enumerate(k)])
            for t in range(len(ids)):
                attention = torch.softmax(q[t] @ k[: t + 1].T / math.sqrt(head), 0)
                mixed[t, h * head : (h + 1) * head] = attention @ v[: t + 1]
        x = x + mixed @ weights[at + "attention.dense.weight"].T + weights[at + "attention.dense.bias"]
        y = norm(x, at + "post_attention_layernorm") @ weights[at + "mlp.dense_h_to_4h.weight"].T + weights[at + "mlp.dense_h_to_4h.bias"]
        y = 0.5 * y * (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        x = x + y @ weights[at + "mlp.dense_4h_to_h.weight"].T + weights[at + "mlp.dense_4h_to_h.bias"]
    return norm(x, "gpt_neox.final_layer_norm") @ weights["gpt_neox.embed_in.weight"].T


@pytest.mark.parametrize("fused", [False, True])
def test_is_pre_norm_gpt2_with_rotary_positions_and_tied_embeddings(model: GPTNeoXForCausalLM, fused: bool) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())) * 0.3)
    if fused:
        gpt2_rotary.fuse_activations(model)
    ids = [5, 0, 36, 5, 11, 2, 2, 9]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    torch.testing.assert_close(logits, reference_logits(model, ids, TINY), rtol=1e-4, atol=1e-4)


def test_initialisation_is_gpt2s() -> None:
    settings = ModelSettings(layers=2, heads=4, head_width=32)
    weights = dict(gpt2_rotary.build(settings, vocab_size=500, context=64, seed=0).named_parameters())
    assert "lm_head.weight" not in weights
    for name, parameter in weights.items():
        residual = name.endswith(("attention.dense.weight", "dense_4h_to_h.weight"))
        if parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(0.02 / math.sqrt(4) if residual else 0.02, rel=0.05), name
        else:
            assert torch.all(parameter == (1.0 if name.endswith("norm.weight") else 0.0)), name


def test_weights_are_a_function_of_the_seed() -> None:
    one, same, other = (gpt2_rotary.build(TINY, vocab_size=37, context=64, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["gpt_neox.embed_in.weight"], other["gpt_neox.embed_in.weight"])


def test_plain_auto_model_loads_it_with_equal_logits(model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    gpt2_rotary.save(model, tmp_path)
    ids = torch.arange(30)[None]
    with torch.no_grad():
        wanted = model(ids).logits
        assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path).eval()(ids).logits, wanted)
        assert torch.equal(gpt2_rotary.load(tmp_path)(ids).logits, wanted)
    assert not list(tmp_path.glob("*.bin"))
    assert json.loads((tmp_path / "config.json").read_text())["hidden_act"] == "gelu_new"


def test_saving_after_fusing_changes_nothing_on_disk(model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    gpt2_rotary.save(model, tmp_path / "a")
    gpt2_rotary.fuse_activations(model)
    gpt2_rotary.save(model, tmp_path / "b")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_wrong_rotary_buffer_is_refused(model: GPTNeoXForCausalLM) -> None:
    model.gpt_neox.rotary_emb.inv_freq.mul_(1.01)
    with pytest.raises(BadCheckpoint, match="rotary formula"):
        gpt2_rotary.check_rotary(model)


def test_missing_weights_are_refused(model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    gpt2_rotary.save(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    with pytest.raises(BadCheckpoint, match="every weight"):
        gpt2_rotary.load(tmp_path)


def test_no_model_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"config\.json"):
        gpt2_rotary.load(tmp_path)


def test_foreign_checkpoint_enters_by_content(model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    gpt2_rotary.save(model, tmp_path / "a")
    gpt2_rotary.save(model, tmp_path / "b")
    a, b = (ModelSettings(path=str(tmp_path / name)) for name in ("a", "b"))
    assert a.canonical() == b.canonical()
    with torch.no_grad():
        model.gpt_neox.embed_in.weight[0, 0] += 1
    gpt2_rotary.save(model, tmp_path / "b")
    assert a.canonical() != b.canonical()
    with pytest.raises(BadCheckpoint):
        ModelSettings(path=str(tmp_path / "none")).canonical()


def test_odd_rotary_widths_are_refused() -> None:
    with pytest.raises(BadSettings, match="even number"):
        ModelSettings.parse({"head_width": 12, "partial_rotary_factor": 0.25}, "model")


def test_without_rotation_a_model_knows_no_positions_but_those_of_its_mask(tmp_path: Path) -> None:
    made = gpt2_rotary.build(
        TINY.model_copy(update={"partial_rotary_factor": 0.0, "initializer_range": 0.2}), vocab_size=37, context=64, seed=3
    ).eval()
    ids = torch.randint(37, (2, 9), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        plain, far = made(ids).logits, made(ids, position_ids=5 + 3 * torch.arange(9)[None]).logits
        swapped = made(ids[:, [1, 0, *range(2, 9)]]).logits
    assert torch.equal(plain, far), "nothing reads a position"
    assert not torch.allclose(plain[:, 0], swapped[:, 0]), "a token sees what stands before it alone"
    assert torch.allclose(plain[:, 3:], swapped[:, 3:], atol=1e-5) == (TINY.layers == 1), "with layers to come, the mask tells an order"
    gpt2_rotary.save(made, tmp_path)
    with torch.inference_mode():
        assert torch.equal(gpt2_rotary.load(tmp_path)(ids).logits, plain)


def test_the_configuration_names_its_positions_for_transformers_4_too(tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"rope_theta": 100.0, "partial_rotary_factor": 0.5})
    made = gpt2_rotary.build(settings, vocab_size=37, context=64, seed=3)
    gpt2_rotary.save(made, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["rotary_pct"], config["rotary_emb_base"], config["rope_theta"]) == (0.5, 100.0, 100.0)
    again = gpt2_rotary.load(tmp_path)
    gpt2_rotary.save(again, tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == (tmp_path / "config.json").read_bytes()


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"model_type": "gpt2"}, {}),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, {"rope_theta": 5e5}),
        (
            {"model_type": "llama", "rope_parameters": {"rope_type": "linear", "rope_theta": 5e5, "factor": 2.0}},
            {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        ),
        ({"model_type": "gemma3", "rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, {}),
        (
            {"model_type": "gpt_neox", "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
            {"rope_theta": 1e4, "rotary_emb_base": 1e4},
        ),
    ],
)
def test_positions_of_other_models_are_named_as_transformers_4_names_them(config: dict[str, Any], keys: dict[str, Any]) -> None:
    assert gpt2_rotary.legacy_keys(config) == keys


@pytest.mark.parametrize("layers", [3, 4, 5, 6, 8])
def test_a_deeper_model_that_starts_from_another_computes_the_same_until_its_new_layers_are_trained(
    layers: int, model: GPTNeoXForCausalLM, tmp_path: Path
) -> None:
    gpt2_rotary.save(model, tmp_path)
    ids = torch.randint(37, (3, 20), generator=torch.Generator().manual_seed(5))
    grown = gpt2_rotary.build(TINY.model_copy(update={"layers": layers}), vocab_size=37, context=64, seed=8)
    assert not torch.allclose(grown.eval()(ids).logits, model(ids).logits, atol=1e-2)
    gpt2_rotary.start_from(grown, tmp_path)
    assert torch.allclose(grown(ids).logits, model(ids).logits, rtol=0, atol=1e-5)
    places = gpt2_rotary.kept_layers(3, layers)
    for old, new in enumerate(places):
        for one, other in zip(model.gpt_neox.layers[old].parameters(), grown.gpt_neox.layers[new].parameters(), strict=True):
            assert torch.equal(one, other)
    grown(ids, labels=ids).loss.backward()
    for place in set(range(layers)) - set(places):
        layer = grown.gpt_neox.layers[place]
        assert layer.mlp.dense_h_to_4h.weight.std() > 0, "a new layer has weights to begin with"
        assert layer.mlp.dense_4h_to_h.weight.grad.abs().sum() > 0, "and learns what to write"


@pytest.mark.parametrize(("old", "new", "places"), [(8, 12, [0, 1, 3, 4, 6, 7, 9, 10]), (8, 16, list(range(0, 16, 2))), (8, 8, list(range(8)))])
def test_new_layers_follow_groups_of_old_ones_evenly(old: int, new: int, places: list[int]) -> None:
    assert gpt2_rotary.kept_layers(old, new) == places


def test_a_model_with_fewer_layers_than_the_weights_is_refused(model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    gpt2_rotary.save(model, tmp_path)
    fewer = gpt2_rotary.build(TINY.model_copy(update={"layers": 2}), vocab_size=37, context=64, seed=8)
    with pytest.raises(BadCheckpoint, match=r"training\.start .*num_hidden_layers must be the member's own, 2, or less, got 3"):
        gpt2_rotary.start_from(fewer, tmp_path)


@pytest.mark.parametrize(("rotated", "base"), [(0.25, 100.0), (0.5, 10_000.0), (1.0, 10_000.0)])
def test_an_offset_head_reads_what_stands_so_many_tokens_before_and_the_other_heads_are_as_drawn(rotated: float, base: float) -> None:
    plain = ModelSettings(layers=3, heads=2, head_width=32, partial_rotary_factor=rotated, rope_theta=base, initializer_range=0.06)
    settings = ModelSettings.model_validate(plain.model_dump() | {"offset_heads": [[1, 2, 3], [3, 1, 1], [3, 2, 0]]})
    built = gpt2_rotary.build(settings, vocab_size=37, context=64, seed=8).eval()
    built.set_attn_implementation("eager")
    ids = torch.randint(37, (2, 40), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        attentions = built(ids, output_attentions=True).attentions
    for layer, head, offset in settings.offset_heads:
        rows = torch.arange(20, 40)
        assert attentions[layer - 1][:, head - 1, rows, rows - offset].mean() > (0.95 if rotated == 0.25 else 0.85)
    assert attentions[0][:, 0].amax(-1)[:, 20:].median() < 0.5, "a drawn head looks everywhere"
    drawn = dict(gpt2_rotary.build(plain, vocab_size=37, context=64, seed=8).named_parameters())
    changed = {name for name, one in built.named_parameters() if not torch.equal(one, drawn[name])}
    assert changed == {f"gpt_neox.layers.{layer}.attention.query_key_value.bias" for layer in (0, 2)}
    assert not built.gpt_neox.layers[0].attention.query_key_value.bias[: 3 * 32].any(), "biases of the other head"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset_heads": [[4, 1, 1]]}, "offset_heads must name heads of the model, of 3 layers and 2 heads, got layer 4 and head 1"),
        ({"offset_heads": [[1, 3, 1]]}, "got layer 1 and head 3"),
        ({"offset_heads": [[1, 1, 1], [1, 1, 3]]}, "offset_heads must name each head once"),
        ({"offset_heads": [[1, 1, 1]], "partial_rotary_factor": 0.0}, "offset_heads must be empty without rotary positions"),
    ],
)
def test_offset_heads_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSettings, match=message):
        ModelSettings.parse(TINY.model_dump() | change, "model")


def test_offset_heads_of_new_layers_stand_beside_kept_weights(model: GPTNeoXForCausalLM, tmp_path: Path) -> None:
    gpt2_rotary.save(model, tmp_path)
    settings = ModelSettings.model_validate(TINY.model_dump() | {"layers": 4, "offset_heads": [[4, 1, 2], [2, 1, 1]]})
    grown = gpt2_rotary.build(settings, vocab_size=37, context=64, seed=8).eval()
    gpt2_rotary.start_from(grown, tmp_path)
    ids = torch.randint(37, (3, 20), generator=torch.Generator().manual_seed(5))
    assert torch.allclose(grown(ids).logits, model(ids).logits, rtol=0, atol=1e-5)
    assert grown.gpt_neox.layers[3].attention.query_key_value.bias.any(), "the new layer has its head"
    assert torch.equal(grown.gpt_neox.layers[1].attention.query_key_value.bias, model.gpt_neox.layers[1].attention.query_key_value.bias)
