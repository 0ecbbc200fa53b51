"""Files over HTTP or HTTPS under limits of size and time; what has come of a large one is kept, and asked for no more.

Nothing here is trusted: `repository` holds every byte against signed metadata. Redirects are not followed.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError, SlowRetrievalError
from tuf.ngclient import FetcherInterface
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse

from edge_agent.errors import ConfigError

PIECE = 64 * 1024
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a server is spoken to."""

    patience_s: float
    """Longest silence, longest wait for an answer, and when the mean rate begins to count."""
    slowest_bytes_s: float
    """A download that has become slower on the whole is given up."""
    ca: str | None = None
    """CA certificate file; None = the system's."""
    token: str | None = None
    """Bearer token, where `is_safe_for_tokens`."""


class Fetching(FetcherInterface):
    """python-tuf's way to a server, with our limits."""

    def __init__(self, terms: Terms, turned: Callable[[], None] = lambda: None) -> None:
        """`turned` hears of each request and each piece: no silence between two is longer than is patient."""
        self._terms, self._turned = terms, turned
        self._tls = _tls(terms.ca)

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._pieces(url, 0)

    def resume(self, url: str, path: Path, length: int) -> None:
        """`path` grows to `length` bytes, from where it was left. Raises DownloadError; what has come stays."""
        held = path.stat().st_size if path.is_file() else 0
        if held > length:
            path.unlink()
            held = 0
        if held == length:
            return
        with open(path, "ab") as file:
            for piece in self._pieces(url, held):
                held += len(piece)
                if held > length:
                    raise DownloadLengthMismatchError(f"{url} gives more than the {length} bytes that are signed")
                file.write(piece)
        if held < length:
            raise DownloadError(f"{url} broke off after {held} of {length} bytes")

    def _pieces(self, url: str, held: int) -> Iterator[bytes]:
        parts = urlsplit(url)
        with self._answer(parts, held) as response:
            if response.status == 200 and held:
                # The server knows no ranges: what is here already is passed over.
                yield from _after(self._body(response), held)
            elif response.status == (206 if held else 200):
                yield from self._body(response)
            else:
                raise DownloadHTTPError(f"{url} is answered by status {response.status}", response.status)

    def _body(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """As fast as it comes, never longer silent than is patient, and on the whole never too slow."""
        terms, began_s, come = self._terms, time.monotonic(), 0
        while piece := response.read1(PIECE, decode_content=False):
            come += len(piece)
            self._turned()
            yield piece
            took_s = time.monotonic() - began_s
            if took_s > terms.patience_s and come < terms.slowest_bytes_s * took_s:
                raise SlowRetrievalError(
                    f"{come} bytes came in {took_s:.1f} s, at least {terms.slowest_bytes_s:.0f} a second are expected"
                )

    @contextmanager
    def _answer(self, parts: SplitResult, held: int) -> Iterator[BaseHTTPResponse]:
        """The response's head has come in time; trouble of any kind is a DownloadError."""
        connection, place = self._connection(parts), f"{parts.hostname}:{parts.port or parts.scheme}"
        hung_up = threading.Event()
        clock = threading.Timer(self._terms.patience_s, _hang_up, [connection, hung_up])
        clock.daemon = True
        late = SlowRetrievalError(f"{place} was silent or slow for {self._terms.patience_s:g} s")
        self._turned()
        try:
            clock.start()
            connection.request("GET", parts.path, headers=self._headers(parts, held), preload_content=False)
            response = connection.getresponse()
            clock.cancel()
            yield response
        except (TimeoutError, urllib3.exceptions.TimeoutError) as error:
            raise late from error
        except (OSError, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError) as error:
            raise late if hung_up.is_set() else DownloadError(f"{place} cannot be used ({_first(error)})") from error
        finally:
            clock.cancel()
            connection.close()

    def _connection(self, parts: SplitResult) -> HTTPConnection:
        if parts.scheme == "https":
            return HTTPSConnection(
                str(parts.hostname), parts.port, timeout=self._terms.patience_s, ssl_context=self._tls
            )
        return HTTPConnection(str(parts.hostname), parts.port, timeout=self._terms.patience_s)

    def _headers(self, parts: SplitResult, held: int) -> dict[str, str]:
        headers = {"User-Agent": "tankwatch", "Accept-Encoding": "identity"}
        if held:
            headers["Range"] = f"bytes={held}-"
        if self._terms.token and is_safe_for_tokens(parts.geturl()):
            headers["Authorization"] = f"Bearer {self._terms.token}"
        return headers


def is_safe_for_tokens(url: str) -> bool:
    """Whether nobody on the way can read what is sent."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOCAL


def _after(pieces: Iterator[bytes], held: int) -> Iterator[bytes]:
    for piece in pieces:
        if held < len(piece):
            yield piece[held:]
        held = max(0, held - len(piece))


def _tls(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"CA file {ca} of [updates] cannot be used ({error}): name a file in PEM form") from error


def _hang_up(connection: HTTPConnection, hung_up: threading.Event) -> None:
    """A head that comes drop by drop would keep the socket's own limit from ever being reached."""
    hung_up.set()
    with suppress(OSError):  # it has ended by itself
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]
