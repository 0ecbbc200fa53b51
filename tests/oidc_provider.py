"""A company's sign-in provider (OpenID Connect) as a small real HTTP server, which can be told to lie."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "tankwatch", "between us"


class Provider:
    """`person` is whoever signs in there; `lie` changes the claims, `sign_with` is its key, `forge` changes a token."""

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "1234", "preferred_username": "nora", "email": "nora@plant.example"}
        self.lie: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.sign_with = self.key
        self.forge: Callable[[str], str] = lambda token: token
        self.given = 0
        """Tokens that it has handed out."""
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def sign_in(self, address: str) -> str:
        """What a browser does there with the address that it was sent to: the path and query it comes back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?code={code}&state={asked['state']}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Each code is good once, with the client's secret and the verifier that fits its challenge."""
        asked = self._codes.pop(form.get("code", ""), None)
        basic = unquote_plus(base64.b64decode(authorization.removeprefix("Basic ")).decode())
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or basic != f"{CLIENT}:{SECRET}":
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, self.lie(claims | self.person), self.sign_with)
        self.given += 1
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": self.forge(signed)}

    def told(self, path: str) -> dict[str, Any] | None:
        """What everybody may read."""
        if path == "/keys":
            return {"keys": [self.key.as_dict(private=False)]}
        if path != "/.well-known/openid-configuration":
            return None
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = provider.told(self.path)
            self._send(200 if found else 404, found or {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._send(*provider.token(form, self.headers.get("Authorization", "")))

        def _send(self, status: int, found: dict[str, Any]) -> None:
            data = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    return Handler
