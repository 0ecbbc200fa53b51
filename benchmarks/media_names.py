"""Names that lead elsewhere, put wherever a name from outside is taken -> which were let in, and what lies there."""

import re
from pathlib import Path

import msgspec
from flask.testing import FlaskClient

from benchmarks.made_cases import make_case
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from edge_agent import wire
from edge_agent.errors import ConfigError, ModelError
from edge_agent.messages import ClipManifest
from edge_agent.offered import bundle_target, station_target
from edge_agent.records import ClipRef

NAMES = (
    "../../../../etc/passwd", "..", "/etc/passwd", "....//....//x", "..%2f..%2fx", "%2e%2e%2fx", "..\\..\\x",
    "x/../../y", "C:\\x", "~root", "a\0b", "a\nb", ".", "", "x" * 5000, "\u202e", "-rf", "$(x)",
    "'; DROP TABLE cases; --",
)  # fmt: skip
ADDRESSES = ("/clips/{}.webm", "/clips/{}.twclip", "/clips/{}/frames/0", "/clips/{}/heat.png", "/posters/{}.jpg")
KNOWN = re.compile(
    r"cloud(\.db.*|/web\.key|/upgrade\.lock|/cloud\.db.*|/clips(/[0-9a-f]{2}(/[0-9a-f]{64}\.(twclip|webm|damaged))?)?|"
    r"/partial(/[0-9a-f]{64})?)?"
)
"""All that may lie in the folder of the drill's cloud."""


def messages() -> list[Message]:
    """Each name in the place of each name that a message carries."""
    topics, case, data = wire.Topics("plant", "TANK1"), make_case(1), b"x" * 100
    said = []
    for name in NAMES:
        for field in ("case_id", "site", "station", "profile_sha256"):
            said.append(Message(topics.case, _json(msgspec.structs.replace(case, **{field: name}))))
        clip = msgspec.structs.replace(case, clip=ClipRef(name, 100))
        manifest = ClipManifest(sha256="a" * 64, bytes=100, parts=1, case_id="c")
        wrong = msgspec.structs.replace(manifest, sha256=name)
        said += [
            Message(topics.case, _json(clip)),
            Message(topics.clip_manifest("a" * 64), _json(wrong)),
            Message(topics.clip_manifest("a" * 64), _json(msgspec.structs.replace(manifest, case_id=name))),
            Message(topics.clip_manifest(name), _json(wrong)),
            Message(topics.clip_part(name, 0), data),
            Message(wire.Topics("plant", name).case, _json(case)),
            Message(wire.Topics(name, "TANK1").case, _json(case)),
            Message(topics.alarm(name), b""),
        ]
    return said


def let_in(intake: Intake, letters, now: float) -> list[str]:
    """Messages that are no dead letter. `letters`: how many there are."""
    found = []
    for message in messages():
        before = letters()
        intake.handle([message], now)
        if letters() == before:
            found.append(f"{message.topic[:100]!r} {message.payload[:60]!r}")
    return found


def offered() -> list[str]:
    """Names that the signed repository would take."""
    found = []
    for name in NAMES:
        asked = {
            f"bundle {name!r}": lambda name=name: bundle_target(name),
            f"site {name!r}": lambda name=name: station_target(name, "TANK1", "mode.json"),
            f"station {name!r}": lambda name=name: station_target("plant", name, "mode.json"),
            f"file {name!r}": lambda name=name: station_target("plant", "TANK1", name),
        }
        for what, ask in asked.items():
            try:
                ask()
                found.append(what)
            except (ConfigError, ModelError):
                continue
    return found


def asked_for(client: FlaskClient) -> list[str]:
    """Addresses of clips under such names that answer with anything but a refusal."""
    paths = [
        pattern.format(name.replace("\0", "%00").replace("\n", "%0a"))
        for name in NAMES
        for pattern in (
            "/clips/{}.webm",
            "/clips/{}.twclip",
            "/clips/{}/frames/0",
            "/clips/{}/heat.png",
            "/posters/{}.jpg",
        )
    ]
    answers = {path: client.get(path).status_code for path in paths}
    return [f"{path[:80]} {status}" for path, status in answers.items() if status not in (308, 400, 404)]


def out_of_place(folder: Path) -> list[str]:
    """What lies in the drill's folder and in no place that is known."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return [name for name in names if name.startswith("cloud") and not KNOWN.fullmatch(name)] + [
        path.name for path in folder.parent.iterdir() if path.name in ("passwd", "outside", "x", "y", "etc")
    ]


def _json(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message)
