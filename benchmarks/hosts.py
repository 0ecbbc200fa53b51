"""Two named hosts on this machine, `device` and `cloud`: network namespaces, and a cable (veth) that can be pulled.

Truer than the loopback: a pulled cable says nothing to anybody. Needs root and iproute2; nothing here knows of MQTT.
"""

import asyncio
import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

Name = Literal["device", "cloud"]
ADDRESSES: dict[Name, str] = {"device": "10.213.77.1", "cloud": "10.213.77.2"}
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""
_numbers = itertools.count(1)


class Hosts:
    """Both hosts and the cable between them; they go with the end."""

    def __init__(self) -> None:
        pair = f"tw{os.getpid()}-{next(_numbers)}"
        self._names: dict[Name, str] = {"device": f"{pair}-device", "cloud": f"{pair}-cloud"}
        self._ends: dict[Name, str] = {"device": f"{pair}d"[-15:], "cloud": f"{pair}c"[-15:]}

    def __enter__(self) -> Self:
        device, cloud = self._ends["device"], self._ends["cloud"]
        for name in self._names.values():
            _ip("netns", "add", name)
        _ip("link", "add", device, "netns", self._names["device"], "type", "veth",
            "peer", "name", cloud, "netns", self._names["cloud"])  # fmt: skip
        for host, name in self._names.items():
            _ip("-n", name, "addr", "add", f"{ADDRESSES[host]}/30", "dev", self._ends[host])
            _ip("-n", name, "link", "set", self._ends[host], "up")
            _ip("-n", name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._names.values():
            _ip("netns", "del", name)

    @contextlib.contextmanager
    def inside(self, host: Name) -> Iterator[None]:
        """This thread, and whatever it starts, is on that host; its sockets stay there."""
        with open("/proc/thread-self/ns/net") as before:
            _enter(Path("/run/netns", self._names[host]))
            try:
                yield
            finally:
                _set_network(before.fileno())

    def set_cable(self, up: bool) -> None:
        """Plugs the cable in or pulls it, at the device."""
        _ip("-n", self._names["device"], "link", "set", self._ends["device"], "up" if up else "down")

    async def pull(self, for_s: float) -> None:
        """The cable is out for so many seconds."""
        await asyncio.to_thread(self.set_cable, False)
        try:
            await asyncio.sleep(for_s)
        finally:
            self.set_cable(True)


def reason_against() -> str:
    """Why there can be no such hosts here; empty where there can be."""
    if shutil.which("ip", path=_search_path()) is None:
        return "ip (iproute2) is not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with Hosts() as hosts, hosts.inside("device"):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine gives no network namespaces ({error})"


def _enter(network: Path) -> None:
    with open(network) as file:
        _set_network(file.fileno())


def _set_network(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NEW_NETWORK) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _ip(*arguments: str) -> None:
    program = shutil.which("ip", path=_search_path()) or "ip"
    subprocess.run([program, *arguments], check=True, capture_output=True)


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
