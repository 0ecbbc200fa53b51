"""A form that met an expired session -> signed text that the sign-in page carries, and back: nothing typed is lost.

Only our own pages' forms are kept: another site could otherwise have somebody sign in and send what it chose.
"""

from urllib.parse import urlsplit

import msgspec
from flask import Request
from itsdangerous import BadData, URLSafeTimedSerializer

LONGEST = 40_000
"""Characters of signed text: it has to fit into the next form together with name and password."""
KEPT_S = 24 * 3600
TOKEN = "csrf_token"
SECRETIVE = "users"
"""Blueprint whose forms carry passwords: they are typed again rather than kept."""


class KeptForm(msgspec.Struct, frozen=True):
    """What somebody had sent when the session was over."""

    path: str
    fields: tuple[tuple[str, str], ...]
    who: str
    """Whose session it was; empty where nobody knows."""


def keep(request: Request, who: str, key: str) -> str | None:
    """Signed text; None where the form is another site's, too long, or has a password in it."""
    if request.blueprint == SECRETIVE or not _is_ours(request):
        return None
    fields = [(name, value) for name, value in request.form.items(multi=True) if name != TOKEN]
    signed = _signer(key).dumps(msgspec.to_builtins(KeptForm(request.full_path.rstrip("?"), tuple(fields), who)))
    text = signed if isinstance(signed, str) else signed.decode()
    return text if len(text) <= LONGEST else None


def opened(text: str, key: str) -> KeptForm | None:
    """None for what we have not signed, or too long ago."""
    if not text:
        return None
    try:
        return msgspec.convert(_signer(key).loads(text, max_age=KEPT_S), type=KeptForm)
    except (BadData, msgspec.ValidationError):
        return None


def _signer(key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="tankwatch kept form")


def _is_ours(request: Request) -> bool:
    """Every browser of today says where a form comes from."""
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    try:
        return urlsplit(request.headers.get("Origin", "")).netloc == request.host
    except ValueError:  # not even an address
        return False
