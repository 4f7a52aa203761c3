"""A model folder opened with transformers 4, in an environment of its own: the same logits, the same ids."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from igsm_pipeline.model import gpt2_rotary
from igsm_pipeline.model.settings import ModelSettings
from igsm_pipeline.tokens import TokenSettings, build_table
from igsm_pipeline.tokens.tokenizer import save_tokenizer
from igsm_pipeline.toolbox.prompt_form import write_prompt_form
from igsm_pipeline.world import load_world

TEXT = " The number of each Riverview High's Film Studio equals 5. zebra"
NUM_IDS = 200
OTHERS = ["transformers==4.57.6", "huggingface_hub==0.36.2", "tokenizers==0.22.2"]
READER = """
import json, sys
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
with torch.no_grad():
    logits = model(torch.arange(int(sys.argv[3]))[None]).logits[0]
print(json.dumps({
    "version": transformers.__version__, "logits": logits.tolist(), "ids": tokenizer(sys.argv[2])["input_ids"],
    "special": sorted(tokenizer.all_special_tokens), "marks": [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id],
}))
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with transformers 4 that finds everything else, torch above all, in the environment of the tests."""
    folder = tmp_path_factory.mktemp("transformers4")
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *OTHERS], check=True)
    places = json.loads(subprocess.check_output([python, "-c", "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"]))
    Path(places["purelib"], "zz_others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("segmentation", ["phrase", "bpe"])
def test_transformers_4_computes_the_same_logits_and_ids(old_python: Path, tmp_path: Path, segmentation: str) -> None:
    table = build_table(load_world("igsm"), 23, TokenSettings(segmentation=segmentation, vocab="compact"))
    settings = ModelSettings(layers=2, heads=2, head_width=16, partial_rotary_factor=0.5, rope_theta=100.0)
    model = gpt2_rotary.build(settings, table.size, NUM_IDS, 3, bos=table.bos, eos=table.eos).eval()
    with torch.no_grad():
        model.gpt_neox.embed_in.weight.mul_(20)  # far from uniform, so that positions count
        wanted = model(torch.arange(NUM_IDS)[None]).logits[0]
    gpt2_rotary.save(model, tmp_path)
    save_tokenizer(table, tmp_path)
    write_prompt_form(tmp_path, NUM_IDS)
    command = [str(old_python), "-W", "ignore", "-c", READER, str(tmp_path), TEXT, str(NUM_IDS)]
    read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert read["version"].startswith("4.57.")
    torch.testing.assert_close(torch.tensor(read["logits"]), wanted, rtol=1e-4, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert read["ids"] == tokenizer(TEXT)["input_ids"]
    assert read["special"] == sorted(tokenizer.all_special_tokens)
    assert read["marks"] == [table.bos, table.eos, table.eos]
