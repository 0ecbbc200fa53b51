"""What the doctor says of one matter."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it stands, and the cure where it is not well."""

    what: str
    status: Literal["ok", "warning", "fault"]
    words: str
    cure: str = ""
