"""Serves reports beside Dagster's page: ``/report/MEMBER`` is the member's newest report.

Ours: a report is a page with scripts of its own. It is served in a sandbox, so that it cannot ask Dagster anything.
"""

from __future__ import annotations

from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from igsm_pipeline.defs.graph.links import REPORT_PATH, newest_report
from igsm_pipeline.store import Store

SANDBOX = "sandbox allow-scripts allow-downloads allow-popups"


class ReportPages:
    """Answers for reports; passes everything else on to ``app``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as ASGI has it."""
        if scope["type"] == "http" and scope["path"].startswith(f"{REPORT_PATH}/"):
            await self.answer(scope["path"].removeprefix(f"{REPORT_PATH}/").rstrip("/"))(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def answer(self, member: str) -> Response:
        """The report of a member, or a line that says how to get one."""
        page = newest_report(Store.at_home().root, member)
        if page is None or not page.is_file():
            return PlainTextResponse(f"no report of {member[:100]} is written yet: materialize its report, or `igsm run` the member\n", 404)
        return FileResponse(page, media_type="text/html", headers={"Content-Security-Policy": SANDBOX, "Cache-Control": "no-store"})
