"""A server of pages or metrics that runs in a thread of the test's own process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import waitress
from flask import Flask
from waitress.server import BaseWSGIServer

END_S = 20


@contextmanager
def serving(server: BaseWSGIServer) -> Iterator[str]:
    """Its address; it listens already, and is closed in the end."""
    thread = begin(server)
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        end(server, thread)


def begin(server: BaseWSGIServer) -> threading.Thread:
    """The thread that serves."""

    def run() -> None:
        # Who closes it takes the sockets away that it waits for.
        with suppress(OSError):
            server.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def end(server: BaseWSGIServer, thread: threading.Thread) -> None:
    """Cuts off whoever is connected and closes it, its threads first: one that is still busy would write its wake-up
    call into whatever file has the number of the closed pipe by then.
    """
    _cut_off(server)
    server.task_dispatcher.shutdown(timeout=END_S)
    server.close()
    _cut_off(server)
    thread.join(END_S)


def _cut_off(server: BaseWSGIServer) -> None:
    for channel in list(server.active_channels.values()):
        # The thread that serves may close it at this very moment, and then it has no socket.
        connected = channel.socket
        with suppress(OSError):
            if connected is not None:
                connected.shutdown(socket.SHUT_RDWR)


def server_of(app: Flask) -> BaseWSGIServer:
    """On a port of its own, listening."""
    return waitress.create_server(app, host="127.0.0.1", port=0, threads=2)
