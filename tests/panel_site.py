"""A panel over a folder of its own, for tests: its application, its state files, and somebody who knows the PIN."""

import re
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from argon2 import PasswordHasher
from flask import Blueprint, Flask
from flask.testing import FlaskClient

from edge_agent import live
from edge_agent import pin as pin_file
from edge_agent.config import DeviceConfig, PanelConfig
from edge_agent.panel import create_app
from edge_agent.pin import Pin
from edge_agent.records import Frame

PIN = "402917"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def a_device(folder: Path, **panel: object) -> DeviceConfig:
    """Its data and its state lie in `folder`."""
    return DeviceConfig(
        site="plant",
        station=str(folder / "station.toml"),
        camera="/dev/video0",
        data_dir=str(folder / "data"),
        run_dir=str(folder / "run"),
        panel=PanelConfig(**panel),  # type: ignore[arg-type]
    )


def a_panel(
    folder: Path, mounted: Sequence[Blueprint] = (), *, device: DeviceConfig | None = None, pin: str | None = PIN
) -> Flask:
    device = device or a_device(folder)
    device.folder.mkdir(exist_ok=True)
    if pin:
        pin_file.HASHER = QUICK
        Pin(device.folder).set(pin)
    return create_app(device, folder / "device.toml", mounted)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def token(client: FlaskClient, path: str = "/pin") -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).get_data(as_text=True))
    assert found, f"{path} has no form"
    return found[1]


def give_pin(client: FlaskClient, pin: str = PIN, where: str = "/"):
    return client.post("/pin", data={"csrf_token": token(client), "pin": pin, "next": where})


def publish(folder: Path, name: bytes, age_s: float = 0.0) -> bytes:
    """A picture as the inspection publishes it."""
    image = np.full((480, 640, 3), (110, 100, 80), np.uint8)
    cv2.rectangle(image, (92, 70), (550, 410), (170, 160, 130), -1)
    cv2.putText(image, name.decode(), (120, 360), 0, 4, (60, 60, 60), 6)
    now_s = time.monotonic() - age_s
    data = live.encoded(Frame(image, 1, now_s, time.time()), live.PICTURES[0], now_s)
    live._replace(folder / "screen.jpg", data)
    return data
