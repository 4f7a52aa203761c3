"""Plain ``transformers`` gives a model what our own path gives it: the same ids from text, from a chat, and nothing else is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import TemplateError
from reference.drawn_records import draw_batch
from transformers import AutoTokenizer

from igsm_pipeline.text import document
from igsm_pipeline.tokens import TokenSettings, TokenTable, build_table, emit
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.toolbox.prompt_form import write_prompt_form
from igsm_pipeline.world import load_world

SEED = 17
BATCH = draw_batch(load_world("igsm"), 23, 12, SEED)


@pytest.fixture(scope="module", params=[("phrase", "compact"), ("bpe", "compact")], ids="-".join)
def table(request: pytest.FixtureRequest) -> TokenTable:
    segmentation, vocab = request.param
    return build_table(BATCH.world, BATCH.modulus, TokenSettings(segmentation=segmentation, vocab=vocab))


@pytest.fixture(scope="module")
def folder(table: TokenTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tokenizer(table, folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": 6}')
    write_prompt_form(folder, 160)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_a_problem_with_its_end_gets_the_ids_of_our_own_prompt(table: TokenTable, tokenizer: Any, form: Any) -> None:
    emitted = emit(BATCH, table, form)
    texts = [document(problem, form).prompt for problem in BATCH]
    for index, text in enumerate(texts):
        assert tokenizer(f"{text}<|solution|>")["input_ids"] == emitted.prompt(index).tolist()
    padded = tokenizer([f"{text}<|solution|>" for text in texts], padding=True)
    assert [ids[-5:] for ids in padded["input_ids"]] == [emitted.prompt(index).tolist()[-5:] for index in range(len(texts))]


@pytest.mark.parametrize("form", ["pq", "qp"])
def test_a_chat_gets_the_ids_of_prompts_and_documents(table: TokenTable, tokenizer: Any, form: Any) -> None:
    emitted = emit(BATCH, table, form)
    said: list[dict[str, str]] = []
    ids = [table.eos]
    for index, problem in enumerate(BATCH):
        prompt, solution, answer = document(problem, form)
        asked = [{"role": "user", "content": prompt.strip()}]
        found = tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]
        assert found == emitted.prompt(index).tolist()
        said += [*asked, {"role": "assistant", "content": f"{solution.strip()}\n#### {answer.strip()}"}]
        ids += emitted.document(index).tolist()
    assert tokenizer.apply_chat_template(said)["input_ids"] == ids
    marked = [{**one, "content": one["content"].replace("\n#### ", "<|answer|> ")} for one in said]
    assert tokenizer.apply_chat_template(marked)["input_ids"] == ids


def test_a_system_message_is_refused_because_the_model_knows_no_word_of_it(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match="leave the system message out"):
        tokenizer.apply_chat_template([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}])


def test_vocabulary_and_ids_stay_and_what_a_folder_says_is_kept(table: TokenTable, folder: Path, tmp_path: Path) -> None:
    save_tokenizer(table, tmp_path)
    before, after = (AutoTokenizer.from_pretrained(one) for one in (tmp_path, folder))
    assert before.get_vocab() == after.get_vocab()
    text = document(BATCH[0], "pq").prompt
    assert before(text)["input_ids"] == after(text, add_special_tokens=False)["input_ids"]
    assert json.loads((folder / "generation_config.json").read_text()) == {"do_sample": False, "eos_token_id": 6, "max_length": 160}
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": "mine"}))
    (tmp_path / "generation_config.json").write_text('{"max_length": 7}')
    write_prompt_form(tmp_path, 160)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert json.loads(config.read_text())["chat_template"] == "mine"
    assert json.loads(first["generation_config.json"])["max_length"] == 7
    write_prompt_form(tmp_path, 160)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
