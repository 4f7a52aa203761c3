"""The server: a port of the loopback, and the page on it until a signal ends it."""

from __future__ import annotations

import errno
import signal
import socket

import uvicorn

from igsm_pipeline.errors import BadSettings
from igsm_pipeline.play.app import make_app
from igsm_pipeline.play.live import LiveMind
from igsm_pipeline.player.files import MindFiles
from igsm_pipeline.processes.stopping import STOPS, leave_stops_alone

HOST = "127.0.0.1"
PORT = 8765
TRIES = 20


def serve(files: MindFiles, port: int = PORT) -> int:
    """Serve the page, print its address, and stop at Ctrl-C or SIGTERM.

    Args:
        files: the mind.
        port: the first to try; one that is taken is named, and the next one is tried.

    Returns:
        The exit code: 0.

    Raises:
        BadSettings: no port from there on is free.
    """
    listening, taken = listen(port)
    mind = LiveMind(files)
    mind.start()
    config = uvicorn.Config(make_app(mind), log_level="warning", lifespan="off", server_header=False, h11_max_incomplete_event_size=64 * 1024)
    server = _Server(config, mind)
    leave_stops_alone()
    for number in STOPS:
        signal.signal(number, server.handle_exit)  # from here on: whoever reads the address may stop it at once
    for port_taken in taken:
        print(f"port {port_taken} is taken")
    print(f"playing {files.name} at http://{HOST}:{listening.getsockname()[1]}  (Ctrl-C stops)", flush=True)
    try:
        server.run(sockets=[listening])
    finally:
        mind.stop()
    return 0


class _Server(uvicorn.Server):
    """Lets no question wait for a model when it stops."""

    def __init__(self, config: uvicorn.Config, mind: LiveMind) -> None:
        super().__init__(config)
        self.mind = mind

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.mind.stop()
        await super().shutdown(sockets)


def listen(port: int) -> tuple[socket.socket, list[int]]:
    """A socket that listens on the first free port from ``port`` on, and the ports before it that were taken.

    Raises:
        BadSettings: none of them is free, or the port is no port.
    """
    taken: list[int] = []
    for number in range(port, min(port + TRIES, 1 << 16)):
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, number))
            found.listen(64)
            return found, taken
        except OSError as error:
            found.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            taken.append(number)
    raise BadSettings("--port", f"must be free, it or one of the {TRIES - 1} behind it", port, "choose another with --port")
