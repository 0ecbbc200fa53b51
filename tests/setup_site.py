"""Commissioning over a folder of its own, for tests: a panel with `/setup`, and a recorded station to look at."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path

from cloud_fakes import a_case
from flask.testing import FlaskClient
from panel_site import a_device, a_panel, give_pin, token
from serving import serving

from calibration.setup import make_blueprint
from calibration.setup_device import SetupDevice, StationNow
from calibration.twin import open_twin
from edge_agent.bundle import open_bundle
from edge_agent.camera import Camera
from edge_agent.inspection import shipped_bundle
from edge_agent.panel import make_server
from edge_agent.profile_history import ProfilePlace
from edge_agent.records import Case, Frame

NOW = 1_790_000_000.0
TWIN = "twin:seed=1,profile=demo,cases=1"
LAMPS = {f"{means}_{side}": "" for means in ("ok", "leak") for side in "xywh"}


PICTURES = 30
"""Of the recorded station: a second and a half."""


class Recorded:
    """A Camera that shows the same second of a station again and again."""

    live, frame_count = False, PICTURES

    def __init__(self, source: str) -> None:
        self._frames = _recorded(source)

    def frames(self) -> Iterator[Frame]:
        return iter(self._frames)

    def close(self) -> None:
        pass


@cache
def _recorded(source: str) -> tuple[Frame, ...]:
    return tuple(islice(open_twin(source).frames(), PICTURES))


class Station:
    """One that stands there; what its inspection says and which cases it made is as a test puts it."""

    def __init__(self, folder: Path, source: str = TWIN, port: int = 8480) -> None:
        self.now_s = NOW
        self.says: StationNow | None = None
        self.cases: list[Case] = []
        self.camera: Callable[[], Camera] = lambda: Recorded(source)
        self.device = SetupDevice(
            place=ProfilePlace(folder / "station.toml", folder / "data" / "profiles"),
            camera=source,
            network=False,
            pictures=lambda: self.camera(),
            now=lambda: self.says,
            cases=lambda since: [case for case in self.cases if case.ended_at > since],
            bundle=cache(lambda: open_bundle(shipped_bundle())),
        )
        self.panel = a_device(folder, port=port)
        self.app = a_panel(folder, [make_blueprint(self.device, lambda: self.now_s)], device=self.panel)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address, for a browser."""
        with serving(make_server(self.app, self.panel)) as address:
            yield address

    def somebody(self, *, signed_in: bool = True) -> FlaskClient:
        client = self.app.test_client()
        if signed_in:
            give_pin(client)
        return client

    def takes_over(self, sha256: str | None, *, checked: bool = True) -> None:
        """The inspection works with this profile."""
        self.says = StationNow(
            at_s=self.now_s, mode="shadow", phase="empty", profile_sha256=sha256, checked=sha256 if checked else None
        )

    def case(self, number: int, ended_at: str, **about: object) -> None:
        self.cases.append(a_case(number, ended_at=ended_at, **about))


def send(client: FlaskClient, path: str, **form: object):
    """A form of a page, as a browser would send it."""
    return client.post(path, data={"csrf_token": token(client, "/setup/"), **form}, follow_redirects=True)


def words(answer) -> str:
    """What stands on a page, without tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)).split())
