"""Each extra installs with the pinned versions into an empty environment, nothing in it contradicts another, and what it is for works."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from reference.empty_environment import CHECKOUT, bare_environment, install

INSPECT = """
import igsm_pipeline.llm.gym, inspect_ai, reasoning_gym
from igsm_pipeline.evaluations.logs import answers, read_log
from igsm_pipeline.llm.task import igsm

assert len(reasoning_gym.create_dataset("igsm", op=2, size=2, seed=1)) == 2
inspect_ai.eval(igsm(ops="2", n=3, shots=1), model="mockllm/model", log_dir="logs", display="none")
from pathlib import Path
(log,) = Path("logs").glob("*.eval")
assert [row["op"] for row in answers(read_log(log))] == [2, 2, 2]
"""
TRAIN = """
import datasets, trl
from igsm_pipeline.verification import reward_function

assert trl.GRPOTrainer and datasets.Dataset.from_dict({"a": [1]}).num_rows == 1
assert reward_function("correct", world="mini", modulus=5)(prompts=["nothing"], completions=["nothing"]) == [0.0]
"""
INTERP = """
import nnsight, transformer_lens
from transformer_lens.model_bridge import TransformerBridge

assert nnsight.NNsight and TransformerBridge
"""
USES = {"llm": INSPECT, "train": TRAIN, "interp": INTERP}


@pytest.mark.slow
@pytest.mark.parametrize("extra", USES)
def test_an_extra_installs_into_an_empty_environment_and_does_what_it_is_for(extra: str, tmp_path: Path) -> None:
    python = install(tmp_path, extra) / "python"
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for words in (["-m", "pip", "check"], ["-c", USES[extra]]):
        done = subprocess.run([python, *words], cwd=folder, env=bare_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def test_the_pins_are_within_what_inspect_and_reasoning_gym_allow() -> None:
    pins = dict(line.split("==") for line in (CHECKOUT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert tuple(map(int, pins["fsspec"].split("."))) <= (2026, 6, 0), "inspect-ai 0.3.285 wants fsspec<=2026.6.0"
    assert pins["tabulate"] == "0.9.0", "reasoning-gym 0.1.25 wants tabulate==0.9.0"
