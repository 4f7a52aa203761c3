"""An OpenAI-compatible server of a published model on the loopback, for Inspect and other clients.

    python -m igsm_pipeline.llm.server data/published/small --port 8766

    GET  /v1/models
    POST /v1/chat/completions   the last message is the problem, statements and question; all others are ignored
    POST /v1/completions        the prompt is the problem

The reply is solution and answer, greedy, as text without markers. A model that was trained on one kind of document takes neither instructions nor
examples. Requests that arrive together are solved together. It listens on 127.0.0.1 only, asks for no key and keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from transformers import PreTrainedModel

from igsm_pipeline.errors import BadInput, IgsmError
from igsm_pipeline.model.decoding import complete
from igsm_pipeline.model.gpt2_rotary import load
from igsm_pipeline.model.settings import CONTEXT
from igsm_pipeline.tokens.fragments import ANSWER, SPECIALS
from igsm_pipeline.toolbox.completions import end_of_text, load_tokenizer, prompt_ids
from igsm_pipeline.toolbox.json_bodies import read_json_body
from igsm_pipeline.verification.reward import prompt_text

HOST, PORT = "127.0.0.1", 8766
MAX_BYTES = 256 * 1024
TOGETHER, WAIT_S = 64, 0.05
"""Most requests of one batch, and how long a batch waits for more."""


class Solving:
    """A model that solves what is waiting, in batches.

    Args:
        model: in evaluation mode.
        tokenizer: its tokenizer.
        max_tokens: most tokens of prompt and reply together.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Any, max_tokens: int = CONTEXT) -> None:
        self._model, self._tokenizer, self._max = model, tokenizer, max_tokens
        self._waiting: asyncio.Queue[tuple[list[int], asyncio.Future[dict[str, Any]]]] = asyncio.Queue()

    async def solve(self, problem: str) -> dict[str, Any]:
        """``text``, ``finished``, ``read`` and ``written`` (tokens) of the reply to a problem.

        Raises:
            BadInput: the problem holds words that the model does not know, or is too long.
        """
        ids = prompt_ids(self._tokenizer, prompt_text(problem))
        if len(ids) >= self._max:
            raise BadInput("messages", f"must take fewer than {self._max} tokens", len(ids), "ask about a shorter problem")
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        await self._waiting.put((ids, future))
        return await future

    async def run(self) -> None:
        """Solve until cancelled."""
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(WAIT_S)
            while len(batch) < TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                replies = await run_in_threadpool(self._replies, [ids for ids, _ in batch])
            except Exception as error:  # whatever it is, those who wait must hear of it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    def _replies(self, prompts: list[list[int]]) -> list[dict[str, Any]]:
        known = self._tokenizer.get_vocab()
        made = complete(
            self._model, [np.array(ids) for ids in prompts], max_tokens=self._max, max_length=self._max, eos=int(known[end_of_text(self._tokenizer)])
        )
        replies = []
        for ids, tokens, finished in zip(prompts, made.tokens, made.finished.tolist(), strict=True):
            written = tokens.tolist()
            text = self._tokenizer.decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            answered = known[SPECIALS[ANSWER]] in written
            replies.append({"text": text, "finished": finished and answered, "read": len(ids), "written": len(written)})
        return replies


def make_app(solving: Solving, name: str) -> Starlette:
    """The application.

    Args:
        solving: who answers.
        name: of the model, as clients see it.
    """

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "igsm_pipeline"}]})

    async def chat(request: Request) -> Response:
        return await answer(request, "chat.completion", lambda body: body["messages"][-1]["content"])

    async def plain(request: Request) -> Response:
        return await answer(request, "text_completion", lambda body: body["prompt"])

    async def answer(request: Request, kind: str, find: Any) -> Response:
        try:
            problem = _said(find(await _body(request)))
            reply = await solving.solve(problem)
        except (KeyError, IndexError, TypeError):
            return _refused(400, "the body must hold messages, each with role and content, or a prompt")
        except IgsmError as error:
            return _refused(400, str(error))
        said: dict[str, Any] = {"message": {"role": "assistant", "content": reply["text"]}} if kind == "chat.completion" else {"text": reply["text"]}
        choice = {"index": 0, "finish_reason": "stop" if reply["finished"] else "length", "logprobs": None, **said}
        usage = {"prompt_tokens": reply["read"], "completion_tokens": reply["written"], "total_tokens": reply["read"] + reply["written"]}
        return JSONResponse(
            {"id": f"{kind}-{time.time_ns()}", "object": kind, "created": int(time.time()), "model": name, "choices": [choice], "usage": usage}
        )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(solving.run())
        yield
        running.cancel()

    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", plain, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise BadInput("body", "must be application/json", request.headers.get("content-type", "nothing"), "send JSON")
    body = await read_json_body(request, MAX_BYTES)
    if body.get("stream"):
        raise BadInput("stream", "must not be asked for", body["stream"], "leave it out")
    return body


def _said(content: object) -> str:
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise TypeError(content)
    return content


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, status)


def main(arguments: list[str] | None = None) -> None:
    """Serve a folder until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a published model, or a checkpoint of the store")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    solving = Solving(load(options.folder), load_tokenizer(options.folder))
    name = options.folder.resolve().name
    print(f"serving {name} at http://{HOST}:{options.port}/v1  (Ctrl-C stops)", flush=True)
    uvicorn.run(make_app(solving, name), host=HOST, port=options.port, log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
