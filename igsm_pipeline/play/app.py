"""The page and its two questions.

    GET  /              the page
    GET  /static/NAME   scripts and styles
    GET  /state         whether the model is loaded
    GET  /recorded      the problems that were recorded with the member's report, as a list of scenes
    POST /draw          {"family", "op", "seed"} -> {"scene", "text", "seconds"}
    POST /solve         {"text", "number"} -> the same

What is refused comes as {"error": {"message", "place"}}. Every request passes the guard of the web pages: asked for on the loopback, by the page
itself, in JSON. Nothing is kept between requests and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from igsm_pipeline.defs.operating.guard import Guard
from igsm_pipeline.errors import BadInput, IgsmError
from igsm_pipeline.play.live import Answer, LiveMind, Refusal
from igsm_pipeline.player.page import STATIC, about, embedded_json, shell
from igsm_pipeline.toolbox.json_bodies import read_json_body

OWN_STATIC = Path(__file__).with_name("static")
TYPES = {".js": "text/javascript", ".css": "text/css"}
MAX_BYTES = 64 * 1024
MAX_WAITING = 4
MAX_SEED = 2**31
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(mind: LiveMind) -> ASGIApp:
    """The guarded application.

    Args:
        mind: who answers; ``start`` is the caller's business.
    """
    waiting = [0]

    async def answer(request: Request, ask: Callable[[dict[str, Any]], Answer]) -> Response:
        if waiting[0] >= MAX_WAITING:
            return _refused(503, "the model is busy with other questions; wait for them")
        waiting[0] += 1
        try:
            return JSONResponse(await run_in_threadpool(ask, await read_json_body(request, MAX_BYTES)), headers=HEADERS)
        except Refusal as error:
            return _refused(422, str(error), error.place)
        except BadInput as error:
            return _refused(413 if error.field == "body" and error.got == "more" else 422, str(error))
        except IgsmError as error:
            return _refused(500, str(error))
        finally:
            waiting[0] -= 1

    async def page(_: Request) -> Response:
        return HTMLResponse(render_page(mind), headers=HEADERS)

    async def state(_: Request) -> Response:
        return JSONResponse(mind.state, headers=HEADERS)

    async def recorded(_: Request) -> Response:
        path = mind.files.recorded
        return Response(b"[]" if path is None else path.read_bytes(), media_type="application/json", headers=HEADERS)

    async def draw(request: Request) -> Response:
        return await answer(
            request, lambda body: mind.draw(_text(body, "family", "own"), _whole(body, "op", 99), _whole(body, "seed", MAX_SEED) or 0)
        )

    async def solve(request: Request) -> Response:
        return await answer(request, lambda body: mind.solve(_text(body, "text", ""), _whole(body, "number", MAX_SEED) or 0))

    routes = [
        Route("/", page, methods=["GET"]),
        Route("/static/{name}", static, methods=["GET"]),
        Route("/state", state, methods=["GET"]),
        Route("/recorded", recorded, methods=["GET"]),
        Route("/draw", draw, methods=["POST"]),
        Route("/solve", solve, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes))


async def static(request: Request) -> Response:
    """A script or a style, by its bare name."""
    name = request.path_params["name"]
    known = {path.name: path for folder in (STATIC, OWN_STATIC) for path in folder.iterdir() if path.suffix in TYPES}
    if name not in known:
        return PlainTextResponse("no such file\n", 404, headers=HEADERS)
    return Response(known[name].read_bytes(), media_type=TYPES[known[name].suffix], headers=HEADERS)


def render_page(mind: LiveMind) -> str:
    """The page: the form, and the empty player."""
    told = {**about(), **mind.about()}
    template = (OWN_STATIC / "play.html").read_text(encoding="utf-8")
    return template.replace("{{about}}", embedded_json(told)).replace("{{player}}", shell(keys="page"))


def _refused(status: int, message: str, place: tuple[int, int] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "place": place}}, status, headers=HEADERS)


def _text(body: dict[str, Any], name: str, otherwise: str) -> str:
    value = body.get(name, otherwise)
    if not isinstance(value, str):
        raise BadInput(name, "must be text", value, "send a string")
    return value


def _whole(body: dict[str, Any], name: str, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BadInput(name, f"must be a whole number between 0 and {most}", value, "send a smaller one")
    return value
