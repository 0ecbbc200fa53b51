"""What every answer of the panel carries, and whom it answers: browsers that other sites send are turned away."""

import ipaddress
import socket
from collections.abc import Collection

from flask import Flask, Response, request

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
NOT_HERE = "This host name is not served here: use the device's address, or add the name to [panel] names.\n"


def install(app: Flask, names: Collection[str]) -> None:
    """`names`: under which the device may be asked, beside addresses, `localhost` and its own host name."""
    known = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}

    @app.before_request
    def _is_ours() -> Response | None:
        # Whoever binds a name of theirs to this address still sends that name (DNS rebinding).
        host = host_of(request.environ.get("HTTP_HOST", ""))
        return None if is_address(host) or host in known else Response(NOT_HERE, 400, mimetype="text/plain")

    @app.after_request
    def _guarded(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response


def host_of(header: str) -> str:
    """A Host header without its port; empty where it is none."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
