"""The server of a published model says of a reply whether it came to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import igsm_pipeline as igsm
from igsm_pipeline.llm.server import Solving
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.toolbox.completions import load_tokenizer

SMALL = Path(__file__).parents[2] / "data/published/small"


async def replies(solving: Solving, problems: list[str]) -> list[dict]:
    running = asyncio.create_task(solving.run())
    try:
        return await asyncio.gather(*map(solving.solve, problems))
    finally:
        running.cancel()


@pytest.mark.parametrize(("room", "finished"), [(400, True), (6, False)])
def test_a_reply_that_is_cut_off_says_so(room: int, finished: bool) -> None:
    mind = igsm.open(SMALL)
    problem = igsm.document(mind.batch("op<=max")[0], mind.format).prompt
    tokenizer, model = load_tokenizer(SMALL), load(SMALL)
    (long,) = asyncio.run(replies(Solving(model, tokenizer), [problem]))
    (reply,) = asyncio.run(replies(Solving(model, tokenizer, max_tokens=long["read"] + room), [problem]))
    assert (reply["finished"], reply["read"]) == (finished, long["read"])
    assert reply["written"] <= room
    assert long["text"].startswith(reply["text"])
