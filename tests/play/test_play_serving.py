"""The page of `igsm play` stops at once and in silence, whenever it is asked to."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from reference.stop_tools import hear_stops_again, igsm_command

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "small"


def ask(port: int, answers: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/draw", b'{"op": 2}', {"Content-Type": "application/json"})
    answers.append(connection.getresponse().status)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("asked", [False, True], ids=["at once", "while a question waits for the model"])
def test_a_stop_ends_page_and_model_without_a_word(number: signal.Signals, asked: bool) -> None:
    with subprocess.Popen(
        igsm_command("play", str(PUBLISHED), "--port", "23000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=hear_stops_again,  # noqa: PLW1509
    ) as page:
        assert page.stdout is not None
        address = page.stdout.readline()
        if asked:
            answers = list[int]()
            asking = threading.Thread(target=ask, args=(int(address.partition("127.0.0.1:")[2].split()[0]), answers), daemon=True)
            asking.start()
            asking.join(0.3)
            assert asking.is_alive(), "the model was there already: the question did not wait"
        os.killpg(page.pid, number)  # as a terminal does
        said = page.stdout.read()  # its end: nobody is left who could write
        assert (page.wait(60), said) == (0, "")
    if asked:
        asking.join(60)
        assert answers == [500]
