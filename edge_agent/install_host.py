"""The machine that is installed on: its root folder, its users and its systemd; commands run in it, or are only said.

Another root (--root, for images and tests) is entered by chroot. Where systemd does not run, its files are put in
place all the same and that is said once.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_agent.errors import ConfigError, StoreError

PYTHON = "/usr/bin/python3"


class CommandFailed(StoreError):
    """A command of the machine's own that did not do what was asked; the message holds its last words."""


class Host:
    """`say` gets a line for people. With `dry_run` nothing is changed and commands are not run."""

    def __init__(self, root: Path, say: Callable[[str], None], *, dry_run: bool = False) -> None:
        self.root, self.say, self.dry_run = root.absolute(), say, dry_run
        self._said_no_systemd = False

    @property
    def is_here(self) -> bool:
        """Whether it is this machine itself."""
        return self.root == Path("/")

    def path(self, name: str) -> Path:
        """A path of the installed machine, as seen from here."""
        return self.root / name.lstrip("/")

    def run(self, command: Sequence[str | Path], *, user: str | None = None, env: Mapping[str, str] = {}) -> str:
        """Runs a command in the root, as `user` where one is named; gives what it says. Raises CommandFailed."""
        words = [str(word) for word in command]
        if not self.is_here:
            as_user = [f"--userspec={user}:{user}"] if user else []
            words = ["chroot", *as_user, str(self.root), *words]
        elif user:
            words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *words]
        return _run(words, {**_clean(), **env})

    def has_python(self) -> bool:
        """Whether packages can be installed into it from here."""
        return self.is_here or os.access(self.path(PYTHON), os.X_OK)

    def user_id(self, name: str) -> tuple[int, int] | None:
        """(uid, gid) of a user there; None where there is none."""
        try:
            lines = self.path("/etc/passwd").read_text().splitlines()
        except FileNotFoundError:
            return None
        return next(((int(f[2]), int(f[3])) for f in (line.split(":") for line in lines) if f[0] == name), None)

    def make_user(self, name: str, home: str) -> None:
        """A system user without a shell; once."""
        if self.user_id(name):
            return
        prefix = [] if self.is_here else ["--prefix", str(self.root)]
        command = ["useradd", *prefix, "--system", "--user-group", "--no-create-home", "--home-dir", home]
        _run([*command, "--shell", "/usr/sbin/nologin", name], _clean())

    def give(self, path: Path, mode: int, owner: str | None) -> None:
        """Owner, group and rights of a file or folder."""
        uid, gid = (self.user_id(owner) or (0, 0)) if owner else (0, 0)
        if os.geteuid() == 0:
            os.chown(path, uid, gid)
        path.chmod(mode)

    def group_file(self, path: Path, owner: str) -> None:
        """root writes it, the group of `owner` reads it, nobody else does."""
        if os.geteuid() == 0:
            os.chown(path, 0, (self.user_id(owner) or (0, 0))[1])
        path.chmod(0o640)

    @property
    def runs_systemd(self) -> bool:
        """Whether units can be started: systemd has booted this very machine."""
        return self.is_here and Path("/run/systemd/system").is_dir() and _systemctl() is not None

    def systemctl(self, *words: str) -> str:
        """Of a running systemd; says once where there is none, and gives nothing then."""
        if not self.runs_systemd:
            if not self._said_no_systemd:
                self._said_no_systemd = True
                self.say("systemd does not run here: units are in place, and start where it does")
            return ""
        return _run([_systemctl() or "", *words], _clean())

    def enable(self, units: list[str], *, on: bool = True) -> None:
        """Units start at boot, or no more; that takes systemctl, but no running systemd."""
        program = _systemctl()
        if program is None:
            self.say(
                f"systemctl is missing: {', '.join(units)} cannot be enabled; install systemd, then run this again"
            )
        elif units:
            _run([program, f"--root={self.root}", "enable" if on else "disable", *units], _clean())


def environment_file(path: Path) -> dict[str, str]:
    """NAME=value lines, as systemd reads an EnvironmentFile; empty where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith(("#", ";")))
    return {name.strip(): value.strip().strip("'\"") for name, value in pairs}


def require_root(host: Host) -> None:
    """Raises ConfigError where an ordinary user wants to change a machine."""
    if os.geteuid() != 0 and not host.dry_run:
        raise ConfigError("this changes the machine, which is root's matter: run it with sudo")


def _systemctl() -> str | None:
    return shutil.which("systemctl")


def _clean() -> dict[str, str]:
    """The environment, without what points a program at another environment of packages."""
    left_out = ("TANKWATCH_VENV", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    return {name: value for name, value in os.environ.items() if name not in left_out} | {"PATH": path}


def _run(words: list[str], env: dict[str, str]) -> str:
    try:
        done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CommandFailed(f"{words[0]} is missing: install the Debian package that holds it") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CommandFailed(f"'{' '.join(words)}' ended with {done.returncode}: {said[-1] if said else 'no word'}")
    return done.stdout
