"""A command that root gives an installed station or cloud -> done as the user whose data they are, with its secrets.

What root wrote among them (a history, an order, a signing key) the services could not go on with.
"""

import os
import pwd
import tomllib
from pathlib import Path

from edge_agent.install_host import environment_file
from edge_agent.install_parts import PARTS

USERS = tuple(part.user for part in PARTS.values())
UMASK = 0o027
"""As the units have it."""


def become(config: Path, secrets: Path) -> None:
    """This process, where it is root's, goes on as the owner of `data_dir` in `config`, where that is a service's user.

    `secrets` are lines as in a unit's EnvironmentFile, which root alone may read; they count where nothing is set.
    """
    owner = _owner(config) if os.geteuid() == 0 else None
    if owner is None or owner.pw_name not in USERS:
        return
    for name, value in environment_file(secrets).items():
        os.environ.setdefault(name, value)
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    os.umask(UMASK)


def _owner(config: Path) -> pwd.struct_passwd | None:
    """None where the file or the folder cannot be used: the command itself says so."""
    try:
        named = tomllib.loads(config.read_text()).get("data_dir", "/var/lib/tankwatch")
        return pwd.getpwuid((config.resolve().parent / named).stat().st_uid)
    except (OSError, ValueError, TypeError, KeyError):
        return None
