"""Who calls from the command line, also behind sudo."""

import getpass
import os


def person() -> str:
    """The name for the record."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
