"""Dagster's webserver behind the guard: ``python -m igsm_pipeline.defs.operating.webserver HOST PORT WORKSPACE MLFLOW``, which
`igsm ui` runs on the loopback."""

from __future__ import annotations

import logging
import sys

import dagster as dg
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget, WorkspaceLoadTarget
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster._utils.log import configure_loggers
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE, _lifespan
from dagster_webserver.version import __version__
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from igsm_pipeline.defs.operating.guard import Guard
from igsm_pipeline.defs.operating.report_pages import ReportPages
from igsm_pipeline.defs.tracking.addresses import MLFLOW_PATH

POLL_MS = 2000


class MlflowLinks:
    """Redirects links to ``/mlflow/`` to MLflow's page, so that links of old runs do not depend on the port that it had then.

    The part after the number sign, which names the run or model, is not sent to a server; the browser keeps it.
    """

    def __init__(self, app: ASGIApp, mlflow: str) -> None:
        self.app, self.mlflow = app, mlflow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as ASGI has it."""
        if scope["type"] == "http" and scope["path"].rstrip("/") == MLFLOW_PATH:
            await RedirectResponse(f"{self.mlflow}/", headers={"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def serve(host: str, port: int, target: WorkspaceLoadTarget, instance: dg.DagsterInstance, mlflow: str) -> None:
    """Serve Dagster's page until the process is interrupted.

    Args:
        host: address to listen on; the guard answers requests for the loopback only, whatever this is.
        port: port to listen on.
        target: the workspace with the code locations.
        instance: runs, events and assets.
        mlflow: address of MLflow's page.
    """
    instance.optimize_for_webserver(DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW)
    with WorkspaceProcessContext(instance, version=__version__, workspace_load_target=target) as context:
        app = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL_MS, lifespan=_lifespan)
        logging.getLogger("dagster-webserver").info("serving Dagster on http://%s:%d", host, port)
        uvicorn.run(Guard(ReportPages(MlflowLinks(app, mlflow))), host=host, port=port, log_level="warning")


def main(host: str, port: str, workspace: str, mlflow: str) -> None:
    """Serve the project's instance (``DAGSTER_HOME``) with the code locations of a workspace file."""
    configure_loggers(log_level="INFO")
    setup_interrupt_handlers()
    with dg.DagsterInstance.get() as instance:
        serve(host, int(port), WorkspaceFileTarget(paths=[workspace]), instance, mlflow)


if __name__ == "__main__":
    main(*sys.argv[1:])
