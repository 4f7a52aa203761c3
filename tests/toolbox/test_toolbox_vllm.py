"""vLLM serves a published folder as it is, and what it replies is as right as in the model's own evaluation."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from reference.servers import free_port, served

from igsm_pipeline.problems import generate
from igsm_pipeline.text import document
from igsm_pipeline.toolbox.published import read_published
from igsm_pipeline.verification import reward

PROGRAM = os.environ.get("IGSM_VLLM") or shutil.which("vllm")
SMALL = Path(__file__).parents[2] / "data" / "published" / "small"
NUMBER, SLICE = 128, "op<=max"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="no program vllm; IGSM_VLLM may name one of another environment")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The base address of vLLM over the published model."""
    port = free_port()
    command = [PROGRAM, "serve", SMALL, "--served-model-name", "small", "--max-model-len", "384", "--host", "127.0.0.1", "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    found, log = f"http://127.0.0.1:{port}/v1", tmp_path_factory.mktemp("vllm") / "log"
    with served([*command, "--enforce-eager"], f"{found}/models", log, environment=environment):
        yield found


def test_replies_are_as_right_as_in_the_models_own_evaluation(address):
    published = read_published(SMALL)
    problems = list(islice((one for batch in generate(published.slice_settings(SLICE), published.world) for one in batch), NUMBER))

    def ask(problem) -> str:
        said = {"role": "user", "content": document(problem, published.family.format).prompt}
        body = json.dumps({"model": "small", "messages": [said], "temperature": 0}).encode()
        request = urllib.request.Request(f"{address}/chat/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(ask, problems))
    found = reward(problems, replies, world=published.world)
    table = pq.read_table(SMALL / "results" / "verdicts.parquet").to_pylist()
    own = {row["problem"]: row["correct"] for row in table if row["slice"] == SLICE and row["beams"] == 1}
    differ = [number for number, score in enumerate(found) if bool(score) != own[number]]
    print(
        f"{sum(found):.0f} of {NUMBER} fully correct, {sum(own[number] for number in range(NUMBER))} in the model's own evaluation; differ: {differ}"
    )
    assert len(differ) <= NUMBER // 32, "the arithmetic of another engine may tip a tie, no more"
