"""The page answers on the loopback only, changes nothing, takes little, and has a model solve what is asked."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from reference.tiny_mind import make_mind

from igsm_pipeline.cli import main
from igsm_pipeline.errors import NotFound
from igsm_pipeline.play.app import MAX_BYTES, make_app
from igsm_pipeline.play.live import LiveMind
from igsm_pipeline.play.opening import open_mind_files
from igsm_pipeline.play.serving import listen
from igsm_pipeline.player.files import RECORDED, MindFiles, recorded_in

JSON = {"Content-Type": "application/json"}


@contextmanager
def served(mind: LiveMind) -> Iterator[int]:
    """The port of a page that runs in a thread."""
    listening, _ = listen(20000)
    server = uvicorn.Server(uvicorn.Config(make_app(mind), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> MindFiles:
    return make_mind(tmp_path_factory.mktemp("mind"))


@pytest.fixture(scope="module")
def port(files: MindFiles) -> Iterator[int]:
    mind = LiveMind(files)
    mind.start()
    with served(mind) as port:
        yield port
    mind.stop()


def ask(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    sent = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    connection.request(method, path, sent, (JSON if body is not None else {}) | (headers or {}))
    response = connection.getresponse()
    return response.status, {name.lower(): str(response.getheader(name)) for name, _ in response.getheaders()}, response.read()


def post(port: int, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    status, _, answer = ask(port, "POST", path, body)
    return status, json.loads(answer)


def beliefs_by_name(scene: dict[str, Any]) -> dict[str, float]:
    names = [one["name"] for one in scene["parameters"]]
    return dict(zip(names, scene["beliefs"]["trained"]["nece"], strict=True))


def test_a_drawn_problem_comes_back_solved_with_every_belief(port: int) -> None:
    status, answer = post(port, "/draw", {"family": "own", "op": 3, "seed": 5})
    assert status == 200
    scene = answer["scene"]
    assert (scene["id"], scene["op"], scene["modulus"]) == ("drawn/own/3/5", 3, 5)
    assert set(scene["beliefs"]) == {"trained", "random"}
    assert set(scene["beliefs"]["trained"]) == {"nece", "dep", "own", "reference"}
    assert answer["text"].startswith("How many ")
    assert answer["seconds"] > 0
    assert post(port, "/draw", {"family": "own", "op": 3, "seed": 5})[1]["scene"] == scene


def test_a_typed_problem_comes_back_as_the_drawn_one_and_a_wrong_one_with_its_place(port: int) -> None:
    drawn = post(port, "/draw", {"op": 2, "seed": 1})[1]
    status, typed = post(port, "/solve", {"text": drawn["text"], "number": 3})
    assert status == 200
    assert typed["scene"]["id"] == "typed/3"
    for part in ("rest", "answer", "verdict"):
        assert typed["scene"]["solutions"]["own"][part] == drawn["scene"]["solutions"]["own"][part]
    assert beliefs_by_name(typed["scene"]) == beliefs_by_name(drawn["scene"])
    spoilt = drawn["text"].replace("The number", "The humber", 1)
    status, refused = post(port, "/solve", {"text": spoilt})
    assert status == 422
    assert refused["error"]["message"].startswith("statement 0 must be")
    assert spoilt[slice(*refused["error"]["place"])].startswith("The humber of each")


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/draw", {"op": 60}, 422, "op must be between 1 and 52"),
        ("/draw", {"op": "3"}, 422, "op must be a whole number"),
        ("/draw", {"op": True}, 422, "op must be a whole number"),
        ("/draw", {"seed": -1}, 422, "seed must be a whole number"),
        ("/draw", {"family": "nosuch"}, 422, "family must be one of own, med, hard"),
        ("/draw", {"family": 3}, 422, "family must be text"),
        ("/solve", {}, 422, "problem must hold statements"),
        ("/solve", [], 422, "body must be a JSON object"),
        ("/solve", b"{", 422, "body must be JSON"),
        ("/solve", b"[" * 30000, 422, "body must be JSON"),
        ("/solve", {"text": "x" * MAX_BYTES}, 413, "body must have at most"),
        ("/solve", {"text": "x" * 20000}, 422, "problem must have at most"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(port: int, path: str, body: Any, status: int, said: str) -> None:
    got, answer = post(port, path, body)
    assert got == status
    assert answer["error"]["message"].startswith(said)


def test_only_this_machine_asks_and_reading_changes_nothing(port: int) -> None:
    assert ask(port, "GET", "/", headers={"Host": "evil.example"})[0] == 403
    assert ask(port, "POST", "/draw", {}, {"Host": f"evil.example:{port}"})[0] == 403
    assert ask(port, "POST", "/draw", {}, {"Origin": "https://evil.example"})[0] == 403
    assert ask(port, "POST", "/draw", {}, {"Content-Type": "text/plain"})[0] == 415
    for path in ("/draw", "/solve"):
        assert ask(port, "GET", f"{path}?op=2")[0] == 405
    for path in ("/", "/state"):
        assert ask(port, "POST", path, {})[0] == 405


def test_the_page_loads_its_own_files_only_and_says_so_to_the_browser(port: int) -> None:
    status, headers, page = ask(port, "GET", "/")
    assert status == 200
    policies = headers["content-security-policy"]
    assert "default-src 'none'" in policies
    assert headers["x-frame-options"] == "DENY"
    assert b"{{" not in page
    for name in ("player.js", "play.js", "player.css", "beliefs.css", "play.css", "page.css"):
        assert f"/static/{name}".encode() in page or name == "player.js"
        status, headers, _ = ask(port, "GET", f"/static/{name}")
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/css" if name.endswith("css") else "text/javascript")
    for name in ("play.html", "../page.py", "..%2f..%2fpage.py", "nosuch.js"):
        assert ask(port, "GET", f"/static/{name}")[0] == 404


def test_the_page_opens_before_the_model_is_loaded(files: MindFiles) -> None:
    mind = LiveMind(files)
    with served(mind) as port:
        assert ask(port, "GET", "/")[0] == 200
        assert json.loads(ask(port, "GET", "/state")[2]) == {"ready": False, "failed": ""}
        mind.start()
        assert post(port, "/draw", {"op": 1})[0] == 200
        assert json.loads(ask(port, "GET", "/state")[2])["ready"]
    mind.stop()


def test_what_was_recorded_is_there_before_the_model_and_nothing_where_nothing_was(files: MindFiles, port: int, tmp_path: Path) -> None:
    assert ask(port, "GET", "/recorded")[2] == b"[]"
    (tmp_path / RECORDED).write_text('[{"id": "op=max/1"}]')
    with served(LiveMind(replace(files, recorded=recorded_in(tmp_path)))) as waiting:
        assert json.loads(ask(waiting, "GET", "/recorded")[2]) == [{"id": "op=max/1"}]
        assert not json.loads(ask(waiting, "GET", "/state")[2])["ready"]
    assert recorded_in(tmp_path / "elsewhere") is recorded_in(None) is None


def test_a_model_that_cannot_be_loaded_is_said_to_be_so(files: MindFiles, tmp_path: Path) -> None:
    broken = MindFiles(files.name, {"trained": tmp_path}, files.probes, files.tokens, files.world, files.family)
    mind = LiveMind(broken)
    mind.start()
    with served(mind) as port:
        status, answer = post(port, "/draw", {})
        assert status == 500
        assert answer["error"]["message"].startswith("the model of tiny cannot be loaded")
        assert json.loads(ask(port, "GET", "/state")[2])["failed"] == answer["error"]["message"]
    mind.stop()


def test_a_port_that_is_taken_is_named_and_the_next_one_taken() -> None:
    first, taken = listen(21000)
    second, also = listen(first.getsockname()[1])
    assert also == [first.getsockname()[1]]
    assert second.getsockname()[1] > first.getsockname()[1]
    assert second.getsockname()[0] == "127.0.0.1"
    first.close()
    second.close()
    assert isinstance(taken, list)


def test_the_server_starts_without_loading_the_model() -> None:
    code = "import sys, igsm_pipeline.play.serving; print([name for name in ('torch', 'numba', 'dagster', 'transformers') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_without_a_published_model_one_sentence_names_the_way_out(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("igsm_pipeline.play.opening.CHECKOUT", tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["play"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "`igsm run mini`" in said
    assert "`igsm play mini`" in said
    (tmp_path / "empty").mkdir()
    for named, words in ((str(tmp_path / "empty"), "no published member in"), ("no/such", "no folder no/such"), ("mine", "`igsm run mine`")):
        with pytest.raises(NotFound, match=words):
            open_mind_files(named)


def test_listening_is_on_the_loopback_only() -> None:
    listening, _ = listen(22000)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", listening.getsockname()[1]))
    assert listening.getsockname()[0] == "127.0.0.1"
    listening.close()
