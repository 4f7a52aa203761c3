"""``python cluster_program.py WORD...``: ``igsm WORD...`` with every step in a process of its own that finds the job by name, as on a cluster.

Something answers at the cluster's address, as Ray's dashboard does.
"""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg

from igsm_pipeline.defs.graph import executors

executors.chosen_executor = lambda: dg.multiprocess_executor


class Dashboard(BaseHTTPRequestHandler):
    """Answers everything with nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_said: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    from igsm_pipeline.cli import main

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ[executors.RAY_ADDRESS] = f"http://127.0.0.1:{server.server_port}"
    main(sys.argv[1:])
