"""Is it still the person who signed in? Asked before a password is set and before sessions are ended.

By the own password once more; guessing it is slowed down as at the sign-in. Who has none here, because the company's
provider lets him in, must have signed in a short while ago: a session that somebody found open, or copied, gets older.
"""

from flask import current_app
from flask_login import current_user

from cloud_sync import accounts, throttle
from cloud_sync.accounts import Act
from cloud_sync.throttle import Attempt

FRESH_MIN = 10
WRONG = "Your own password does not fit. After five attempts, wait a quarter of an hour."


def fault(password: str) -> str | None:
    """Why this request's user is not taken for that person; None where he is."""
    engine, now = current_app.extensions["tankwatch"].engine, accounts.act()
    with engine.connect() as connection:
        if not accounts.has_password(connection, now.who):
            return _too_long_ago(now)
    tried = Attempt(now.who, now.address, now.at, kind="password")
    if not throttle.admitted(engine, tried):
        return WRONG
    with engine.connect() as connection:
        found = accounts.with_password(connection, now.who, password)
    throttle.ended(engine, tried, right=found is not None)
    return WRONG if found is None else None


def _too_long_ago(now: Act) -> str | None:
    minutes = (now.at - current_user.signed_in_at) / 60
    if minutes < FRESH_MIN:
        return None
    return f"You signed in {minutes:.0f} minutes ago, limit {FRESH_MIN}: sign out and in again, then repeat it."
