"""The tutorials of other people's tools: their code runs as it stands, and says what the pipeline and plain torch say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import igsm_pipeline as igsm
from igsm_pipeline.notebook.published import PublishedMind
from igsm_pipeline.problems import ProblemBatch, generate
from igsm_pipeline.toolbox.published import is_published

ROOT = Path(__file__).parents[2]
PUBLISHED = "data/published/small"
PAGES = {"transformer_lens": "transformer_lens", "nnsight": "nnsight"}
"""Page -> the package that it needs."""
QUESTION, PAIRS = slice(2, 7), 20


def run_page(page: str, script: Path) -> dict[str, Any]:
    """The names that the code of a page leaves behind; it runs from a file, because nnsight reads its source."""
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "tutorials" / f"{page}.md").read_text(), re.S)
    script.write_text("\n".join(code))
    return runpy.run_path(str(script))


def flips_in_plain_torch(mind: PublishedMind) -> NDArray[np.float64]:
    """Answers about nece that become the twin's, and that could: one row per layer whose input gets the twin's states of the question."""
    model, tokenizer, probe = mind.model(), mind.tokenizer(), mind.probe("nece").network
    layers, update, head = model.gpt_neox.layers, probe.rows @ probe.directions, torch.nn.Linear(1, 1)
    head.weight, head.bias = probe.weight, probe.bias
    pairs = mind.batch("reask").take(slice(0, PAIRS))
    first = mind.published.slice_settings("reask").model_copy(update={"reask": False})
    twins = ProblemBatch(next(iter(generate(first, mind.world))).records[:PAIRS], mind.world, mind.family.modulus)

    def ask(problem: Any, names: list[str], layer: int | None = None, given: Any = None) -> tuple[Any, Any]:
        def replace(_: object, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            states = inputs[0].clone()
            states[:, QUESTION] = given
            return (states, *inputs[1:])

        prompt = igsm.document(problem, mind.format).prompt
        text = [f"<|endoftext|><|problem|>{prompt}<|probe_start|> {name}<|probe_end|>" for name in names]
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        hook = None if layer is None else layers[layer].register_forward_pre_hook(replace)
        found = model.gpt_neox(inputs_embeds=model.get_input_embeddings()(ids) + update[ids], output_hidden_states=True)
        if hook is not None:
            hook.remove()
        return head(found.last_hidden_state[:, -1]).argmax(-1), [states[:, QUESTION] for states in found.hidden_states]

    flips = np.zeros((len(layers), 2))
    with torch.no_grad():
        for number in range(PAIRS):
            problem, twin = pairs[number], twins[number]
            names = [problem.name(one) for one in (*problem.abstracts, *problem.instances)]
            (plain, _), (other, states) = ask(problem, names), ask(twin, names)
            for layer in range(len(layers)):
                patched, _ = ask(problem, names, layer, states[layer])
                flips[layer] += [int((patched == other)[plain != other].sum()), int((plain != other).sum())]
    return flips


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_says_what_the_pipeline_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(PAGES[page])
    monkeypatch.chdir(ROOT)
    if not is_published(Path(PUBLISHED)):
        pytest.skip("no member is published in this checkout")
    said = run_page(page, tmp_path / "page.py")
    assert said["difference"] < 1e-4, "the model's logits"
    assert max(said["off"]) < 1e-4, "what the probe says of a problem"
    assert max(said["exact"]) < 1e-4, "a problem that is given its twin's question is the twin"
    mind = igsm.open(PUBLISHED)
    assert isinstance(mind, PublishedMind)
    assert said["flipped"].tolist() == flips_in_plain_torch(mind).tolist()
    assert said["flipped"][0, 0] == said["flipped"][0, 1] > 0
