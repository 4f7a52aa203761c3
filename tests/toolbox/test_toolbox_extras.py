"""Each extra installs with the pinned versions into an empty environment, nothing in it contradicts another, and what it is for works."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from reference.empty_environment import CHECKOUT, bare_environment, install

INSPECT = """
from pathlib import Path

import igsm_pipeline.llm.gym, inspect_ai, reasoning_gym
from igsm_pipeline.evaluations.logs import answers, read_log
from igsm_pipeline.llm.task import igsm
from inspect_ai.model import ModelOutput, ModelUsage, get_model

def say(messages, tools, tool_choice, config):
    output = ModelOutput.from_content("mock", "It is 3")
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else Inspect loads a tokenizer to count them
    return output

assert len(reasoning_gym.create_dataset("igsm", op=2, size=2, seed=1)) == 2
inspect_ai.eval(igsm(ops="2", n=3, shots=1), model=get_model("mockllm/model", custom_outputs=say, memoize=False), log_dir="logs", display="none")
(log,) = Path("logs").glob("*.eval")
assert [row["op"] for row in answers(read_log(log))] == [2, 2, 2]
"""
TRAIN = """
import datasets, trl
import igsm_pipeline as igsm
from igsm_pipeline.verification import reward_function

problem = igsm.generate(1, world="mini", op=2, seed=3)[0]
text = igsm.document(problem, "pq")
score = reward_function("correct", world="mini", modulus=problem.modulus)
assert trl.GRPOTrainer and datasets.Dataset.from_dict({"prompt": [text.prompt]}).num_rows == 1
assert score(prompts=[text.prompt] * 2, completions=[text.solution + text.answer, "nothing"]) == [1.0, 0.0]
"""
HARNESS = """
from pathlib import Path

import igsm_pipeline.llm.harness.exam as exam
from lm_eval.tasks import TaskManager

manager = TaskManager(include_path=str(Path(exam.__file__).parent), metadata={"ops": "2", "n": 3, "shots": 1})
assert {"igsm", "igsm_steps"} <= set(manager.all_tasks)
assert exam.draw(ops="2", n=3, shots=1)["test"].num_rows == 3
"""
INTERP = """
from nnsight import TransformersModel
from transformer_lens.model_bridge import TransformerBridge

assert TransformersModel and TransformerBridge
"""
USES = {"llm": INSPECT, "train": TRAIN, "interp": INTERP, "harness": HARNESS}


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
