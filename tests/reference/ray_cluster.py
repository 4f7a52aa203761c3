"""``python ray_cluster.py DASHBOARD_PORT``: a Ray cluster of two one-core nodes on this machine's loopback, until standard input closes.

Prints one line once a job has run on it. Needs the extra ``ray``. RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 is what keeps Ray on 127.0.0.1: without it,
agents look for the cluster at the machine's outside address.
"""

import socket
import sys
import time

from ray.cluster_utils import Cluster
from ray.job_submission import JobSubmissionClient

READY_S = 600
MEMORY = 100_000_000


def main() -> None:
    """Start, wait, say so, hold, stop."""
    port = int(sys.argv[1])
    node = {"num_cpus": 1, "object_store_memory": MEMORY, "node_ip_address": "127.0.0.1"}
    dashboard = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    cluster = Cluster(initialize_head=True, head_node_args={**node, **dashboard, "dashboard_agent_listen_port": _free_port()})
    try:
        cluster.add_node(**node, dashboard_agent_listen_port=_free_port())
        _wait_for_a_job(f"http://127.0.0.1:{port}")
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_a_job(address: str) -> None:
    client, deadline = JobSubmissionClient(address), time.monotonic() + READY_S
    while True:
        try:
            job = client.submit_job(entrypoint="true")
            break
        except RuntimeError:  # the nodes' agents take a while to report
            if time.monotonic() > deadline:
                raise
            time.sleep(2)
    while not client.get_job_status(job).is_terminal():
        time.sleep(0.5)


if __name__ == "__main__":
    main()
