"""A guard before Dagster's webserver: other people's pages in the user's browser can read nothing and start nothing.

Dagster answers any ``Host`` and accepts mutations by GET. Without a guard, any page that the user visits could start, delete or wipe runs
on this machine. The guard is an ASGI middleware; of Dagster it knows only the path of its GraphQL.

Ours: the rules. A refused request gets 403 (or 405, 415) and one line; a program on this machine that sends no ``Origin`` is accepted.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRAPHQL = "/graphql"
READS = ("GET", "HEAD")
WEBSOCKET_REFUSED = 1008
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\s]+)(?::\d{1,5})?")
_HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """Passes a request on to ``app`` unless ``refusal`` refuses it, and forbids frames in every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = refusal(scope.get("method"), scope["path"], Headers(scope=scope))
        if refused is None:
            await self.app(scope, receive, _denying_frames(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": WEBSOCKET_REFUSED, "reason": refused[1]})
        else:
            status, why = refused
            await PlainTextResponse(f"{why}\n", status)(scope, receive, _denying_frames(send))


def refusal(method: str | None, path: str, headers: Headers) -> tuple[int, str] | None:
    """Why a request is refused, as status and words; None if it is not.

    Refused are: a ``Host`` that is not this machine's loopback (an attacker's name may resolve to it); an ``Origin`` other than the page's own;
    requests that the browser marks as coming from another site or port, except a link that opens a whole page; GraphQL by another method than POST;
    bodies other than JSON.

    Args:
        method: method of HTTP; None for a WebSocket.
        path: decoded path, without the query.
        headers: headers of the request.
    """
    return _from_elsewhere(method, headers) or (None if method is None else _unfit(method, path, headers))


def _from_elsewhere(method: str | None, headers: Headers) -> tuple[int, str] | None:
    """Refuse a request that another site's page made."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_loopback(hosts[0]):
        return 403, f"Host must be localhost or 127.0.0.1, got {', '.join(hosts)[:100]!r}; open the address that the command prints"
    if any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in headers.getlist("origin")):
        return 403, "Origin must be this page's own; pages of others may not ask here"
    opens_page = method in READS and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if not opens_page and any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
        return 403, "Sec-Fetch-Site must be same-origin; pages of others may not ask here"
    return None


def _unfit(method: str, path: str, headers: Headers) -> tuple[int, str] | None:
    """Refuse what another site's form, picture or link could send without the browser asking first."""
    if path.rstrip("/") == GRAPHQL and method != "POST" and not (method == "GET" and "text/html" in headers.get("accept", "")):
        return 405, "GraphQL must be asked by POST, with JSON"
    if method not in READS and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return 415, "Content-Type must be application/json"
    return None


def is_loopback(host: str) -> bool:
    """Whether a ``Host`` header, with or without a port, names this machine's loopback: localhost, 127.0.0.0/8 or [::1]."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    try:
        return match["name"].lower() == "localhost" or ipaddress.ip_address(match["name"].strip("[]")).is_loopback
    except ValueError:
        return False


def _denying_frames(send: Send) -> Send:
    """Wrap ``send`` so that the start of an answer gets the headers that forbid frames."""

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return forward
