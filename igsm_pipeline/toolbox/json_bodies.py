"""Reads what a browser or a program sends to one of this package's small servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from igsm_pipeline.errors import BadInput

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_json_body(request: Request, most: int) -> dict[str, Any]:
    """The JSON object in the body of a request.

    Args:
        request: as Starlette has it.
        most: bytes; of a longer body no more is read.

    Raises:
        BadInput: it is no JSON object, or too long (``got`` is "more").
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise BadInput("body", f"must have at most {most} bytes", "more", "send less")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadInput("body", "must be JSON", body[:40].decode("utf-8", "replace"), "send an object") from None
    if not isinstance(value, dict):
        raise BadInput("body", "must be a JSON object", type(value).__name__, "send an object")
    return value
