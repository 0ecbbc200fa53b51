"""Who calls from the command line, also behind sudo; and whoever is root works as the owner of the device's data.

What root made there the services could not change any more: their next order, picture or record would be refused.
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def person() -> str:
    """The name for the record."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def work_as_owner_of(folder: Path) -> None:
    """From now on; whatever only root may read has to be read before. A folder that is not there has no owner yet."""
    if os.geteuid() != 0 or not folder.is_dir():
        return
    owner = folder.stat()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)


def leave_to_owner(path: Path) -> None:
    """What root has made in somebody else's folder is that one's. Raises OSError."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def as_caller() -> Iterator[None]:
    """For a file that the caller wants to have."""
    uid, gid = os.geteuid(), os.getegid()
    os.seteuid(os.getuid())
    os.setegid(os.getgid())
    try:
        yield
    finally:
        os.setegid(gid)
        os.seteuid(uid)
