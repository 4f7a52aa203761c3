"""A stranger's page in the user's browser reads nothing and starts nothing: the guard's rules, and Dagster and MLflow behind theirs."""

import http.client
import json
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

import dagster as dg
import pytest
import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from igsm_pipeline.defs.operating import ui
from igsm_pipeline.defs.operating.guard import Guard, is_loopback, refusal
from igsm_pipeline.defs.operating.webserver import MlflowLinks
from igsm_pipeline.defs.tracking.addresses import MLFLOW_URL, model_url, run_url

HERE = "127.0.0.1:3000"
JSON = {"content-type": "application/json"}
DELETE = 'mutation { deleteRun(runId: "%s") { __typename } }'
ALIVE = "{ version }"
MLFLOW = "http://127.0.0.1:5077"
EVIL = "https://evil.example"


def refused(method, path, **headers):
    found = refusal(method, path, Headers({"host": HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}))
    return found and found[0]


@pytest.mark.parametrize("host", ["localhost", "localhost:3000", "LOCALHOST", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:3000", "127.8.0.1"])
def test_this_machine_s_loopback_is_answered(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "0.0.0.0:3000",
        "192.168.1.4",
        "10.0.0.1:3000",
        "[2001:db8::1]",
        "::1",
        "localhost:port",
        "localhost:3000:1",
        "127.1",
        "2130706433",
        "localhöst",
    ],
)
def test_any_other_host_is_not(host):
    assert not is_loopback(host)
    assert refused("GET", "/", host=host) == 403


def test_two_hosts_or_none_are_refused():
    assert refusal("GET", "/", Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")]))[0] == 403
    assert refusal("GET", "/", Headers({}))[0] == 403


@pytest.mark.parametrize("origin", ["null", EVIL, "http://127.0.0.1:5000", "http://localhost:3000", "http://127.0.0.1:3000.evil.example", "file://"])
@pytest.mark.parametrize("method", ["GET", "POST", None])
def test_an_origin_other_than_the_page_s_own_is_refused(origin, method):
    assert refused(method, "/graphql", origin=origin, accept="text/html", **{"content-type": "application/json"}) == 403


def test_what_a_browser_says_comes_from_elsewhere_is_refused():
    for site in ("cross-site", "same-site", "odd"):
        assert refused("GET", "/runs", sec_fetch_site=site) == 403
        assert refused("GET", "/runs", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe") == 403
        assert refused("POST", "/graphql", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document", **JSON) == 403


def test_a_link_may_open_the_page_and_the_page_may_ask():
    assert refused("GET", "/runs/1", sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document") is None
    assert refused("GET", "/favicon.png", sec_fetch_site="same-origin") is None
    assert (
        refused("POST", "/graphql", origin=f"http://{HERE}", sec_fetch_site="same-origin", **{"content-type": "application/json; charset=utf-8"})
        is None
    )
    assert refused(None, "/graphql", origin=f"http://{HERE}") is None


def test_graphql_is_asked_by_post_with_json_only():
    assert refused("GET", "/graphql") == refused("HEAD", "/graphql") == refused("GET", "/graphql/", accept="*/*") == refused("PUT", "/graphql") == 405
    assert refused("GET", "/graphql", accept="text/html") is None  # the editor's page, which asks nothing yet
    for kind in ("", "text/plain", "application/graphql", "multipart/form-data", "application/x-www-form-urlencoded", "text/plain; application/json"):
        assert refused("POST", "/graphql", **{"content-type": kind}) == 415
    assert refused("POST", "/report_asset_materialization/checkpoint") == 415


@contextmanager
def serving(app):
    """The port at which an app is served on the loopback, by a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def dagster(tmp_path_factory):
    """Dagster's webserver behind the guard, with one run: the port, and the instance."""
    folder = str(tmp_path_factory.mktemp("dagster"))
    with (
        dg.DagsterInstance.local_temp(folder) as instance,
        WorkspaceProcessContext(instance, workspace_load_target=EmptyWorkspaceTarget()) as context,
    ):
        instance.create_run_for_job(dg.job(name="precious")(lambda: None))
        with serving(Guard(MlflowLinks(create_app_from_workspace_process_context(context), MLFLOW))) as port:
            yield port, instance


def ask(port, method, path, body=None, **headers):
    """(status, headers, text) of a request, its headers exactly these."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host="host" in headers)
    for name, value in {**({"content-length": str(len(body))} if body else {}), **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def query(text):
    return json.dumps({"query": text}).encode()


def test_the_page_works_and_no_frame_may_hold_it(dagster):
    port, _ = dagster
    status, headers, text = ask(port, "POST", "/graphql", query(ALIVE), origin=f"http://127.0.0.1:{port}", sec_fetch_site="same-origin", **JSON)
    assert (status, set(json.loads(text)["data"])) == (200, {"version"})
    status, headers, _ = ask(port, "GET", "/runs", sec_fetch_site="none")
    assert (status, headers["x-frame-options"]) == (200, "DENY")
    assert "frame-ancestors 'none'" in headers.get_all("content-security-policy")


def test_links_to_mlflow_lead_to_where_it_is_now(dagster, monkeypatch):
    port, _ = dagster
    monkeypatch.delenv(MLFLOW_URL, raising=False)
    links = (run_url("a1", "7"), model_url("mine", "3"))
    assert links == ("/mlflow/#/experiments/7/runs/a1?workflowType=machine_learning", "/mlflow/#/models/mine/versions/3")
    for link in links:
        status, headers, _ = ask(port, "GET", link.partition("#")[0])
        assert (status, headers["location"], headers["cache-control"]) == (307, f"{MLFLOW}/", "no-store")
    monkeypatch.setenv(MLFLOW_URL, "https://mlflow.example/")
    assert run_url("a1", "7") == "https://mlflow.example/#/experiments/7/runs/a1?workflowType=machine_learning"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 405),
        ("GET", {"origin": EVIL}, 403),
        ("HEAD", {}, 405),
        ("POST", {"content-type": "text/plain"}, 415),
        ("POST", {"content-type": "application/graphql"}, 415),
        ("POST", {**JSON, "origin": EVIL}, 403),
        ("POST", {**JSON, "host": "evil.example"}, 403),
        ("POST", {**JSON, "sec_fetch_site": "cross-site"}, 403),
        ("OPTIONS", {"origin": EVIL, "access-control-request-method": "POST"}, 403),
    ],
)
def test_a_stranger_deletes_no_run(dagster, method, headers, status):
    port, instance = dagster
    (run,) = instance.get_runs()
    text = DELETE % run.run_id
    path = "/graphql?query=" + text.replace(" ", "%20").replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
    found, answered, _ = ask(port, method, path, query(text) if method == "POST" else None, **headers)
    assert (found, answered["x-frame-options"]) == (status, "DENY")
    assert "access-control-allow-origin" not in answered
    assert instance.get_runs_count() == 1


def test_subscriptions_work_for_the_page_alone(dagster):
    port, _ = dagster
    address = f"ws://127.0.0.1:{port}/graphql"
    with connect(address, subprotocols=["graphql-ws"], origin=f"http://127.0.0.1:{port}") as socket_:
        socket_.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket_.recv(timeout=60)) == {"type": "connection_ack"}
    for origin in (EVIL, "null", f"http://localhost:{port}"):
        with pytest.raises(InvalidStatus) as refused_:
            connect(address, subprotocols=["graphql-ws"], origin=origin).close()
        assert refused_.value.response.status_code == 403


@pytest.mark.slow
def test_mlflow_refuses_strangers_too(tmp_path, monkeypatch):
    monkeypatch.setenv("IGSM_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (server,) = (one for one in ui.servers(port + 1, port) if one.name == "mlflow")
    path = "/ajax-api/2.0/mlflow/experiments/create"
    with subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 120
            while not ui._answers(server.url + server.health) and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.2)
            body = b'{"name": "mine"}'
            own = f"http://127.0.0.1:{port}"
            for headers in ({"host": "evil.example"}, {"host": "192.168.1.4"}, {"origin": EVIL}, {"origin": "null"}):
                assert ask(port, "POST", path, body, **JSON, **headers)[0] == 403, headers
            for headers in ({"origin": own}, {}):
                status, answered, text = ask(port, "POST", path, body, **JSON, **headers)
                assert status == (200 if headers else 400), text  # 400: it exists by now, and not before
                assert answered["x-frame-options"] == "DENY"
        finally:
            process.terminate()
