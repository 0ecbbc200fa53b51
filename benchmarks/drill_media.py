"""`drill media`: clips that mean harm, names that lead elsewhere, and the end of the process that decodes.

Each clip goes the way of a station's: messages, intake, store, video, pages. What is refused is refused within a
moment and in words; whatever happens to the decoding process, the cloud goes on and the next clip is shown.
"""

import contextlib
import logging
import os
import random
import re
import secrets
import signal
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from flask.testing import FlaskClient

from benchmarks import hostile_clips, media_names
from benchmarks.exercise import Exercise, Say
from benchmarks.hostile_clips import Hostile
from benchmarks.made_cases import make_case
from benchmarks.payload_cloud import config_in
from cloud_sync import accounts, db, dead_letters
from cloud_sync.dead_letters import Message
from cloud_sync.decoding import Decoding
from cloud_sync.intake import Intake
from cloud_sync.web import Shelf, create_app
from edge_agent import golden, wire
from edge_agent.bundle import open_bundle
from edge_agent.clip_bytes import MAGIC, record
from edge_agent.errors import ModelError, StoreError
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import PART_BYTES, ClipManifest
from edge_agent.records import ClipRef, Sampled

MOST_MS = 100.0
"""CPU time of both processes until a clip is refused."""
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
FAULTS = (
    "let_in", "slow", "wordless", "harmless_refused", "pages_broken", "ended", "golden_let_in", "golden_slow",
    "names_let_in", "out_of_place", "good_lost", "damaged_wrongly", "crasher_shown",
)  # fmt: skip
"""Keys of the ledger that must all be 0."""
PAGES = ("/clips/{}.webm", "/clips/{}/clip.json", "/clips/{}/frames/0", "/clips/{}/composite.png", "/clips/{}/heat.png",
         "/posters/{}.jpg", "/clips/{}.twclip")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """How many clips are spoilt by lot, and how often the decoding process is killed."""

    spoilt: int
    kills: int
    seed: int


def plan_of(full: bool, seed: int) -> Plan:
    return Plan(20_000, 200, seed) if full else Plan(100, 4, seed)


class Cloud:
    """One cloud with its pages, and what was found in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.app = folder, create_app(config_in(folder))
        self.shelf: Shelf = self.app.extensions["tankwatch"]
        self.intake = Intake(self.shelf.engine, self.shelf.store, max_clip_bytes=256_000_000)
        self.found: Counter = Counter()
        self.words: list[str] = []
        self.slowest_ms = 0.0
        self._sequence = 0

    def fault(self, name: str, words: str) -> None:
        self.found[name] += 1
        if len(self.words) < 20:
            self.words.append(f"{name}: {words[:300]}")

    def deliver(self, data: bytes) -> str:
        """As a station does; the clip's hash."""
        self._sequence += 1
        sha256 = wire.sha256_of(data)
        case = msgspec.structs.replace(
            make_case(self._sequence), sequence=self._sequence, sampled=Sampled("audit", 1.0),
            clip=ClipRef(sha256, max(1, len(data))),
        )  # fmt: skip
        topics = wire.Topics(case.site, case.station)
        parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        said = [Message(topics.case, wire.encode(case))]
        if parts:
            manifest = ClipManifest(sha256=sha256, bytes=len(data), parts=len(parts), case_id=case.case_id)
            said.append(Message(topics.clip_manifest(sha256), wire.encode(manifest)))
        said += [Message(topics.clip_part(sha256, number), part) for number, part in enumerate(parts)]
        self.intake.handle(said, db.now())
        return sha256

    def letters(self) -> int:
        with self.shelf.engine.connect() as connection:
            return dead_letters.refused(connection).messages

    def client(self) -> FlaskClient:
        """Somebody who may see everything."""
        password = secrets.token_urlsafe(12)
        accounts.add_user(self.shelf.engine, "drill", password, "admin", now=db.now())
        client = self.app.test_client()
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").get_data(as_text=True))
        form = {"name": "drill", "password": password, "csrf_token": token[1] if token else ""}
        client.post("/login", data=form, headers={"Origin": "http://localhost"})
        return client

    def close(self) -> None:
        for lane in (self.shelf.videos.decoding, self.shelf.pictures):
            lane.close()
        self.shelf.engine.dispose()


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    began_s, cloud = time.monotonic(), Cloud(folder)
    logging.disable(logging.CRITICAL)
    try:
        counts = _drilled(cloud, plan, say)
    finally:
        cloud.close()
        logging.disable(logging.NOTSET)
    return {
        "drill": "media",
        **counts,
        "refused": cloud.found["refused"],
        "slowest_ms": round(cloud.slowest_ms, 1),
        **{name: cloud.found[name] for name in FAULTS},
        "words": cloud.words,
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _drilled(cloud: Cloud, plan: Plan, say: Say) -> dict[str, int]:
    """How much of what was done."""
    client, clips = cloud.client(), hostile_clips.every()
    for name, one in clips.items():
        _show(cloud, client, name, one)
    say(f"{len(clips)} clips: {_said(cloud)}")
    _golden(cloud, clips)
    _spoil(cloud, plan)
    say(f"{plan.spoilt} clips spoilt by lot: {_said(cloud)}")
    let_in = [*media_names.let_in(cloud.intake, cloud.letters, db.now()), *media_names.offered()]
    for words in [*let_in, *media_names.asked_for(client)]:
        cloud.fault("names_let_in", words)
    kills = _kill(cloud, client, plan)
    say(f"{kills} kills of the decoding process: {_said(cloud)}")
    for words in media_names.out_of_place(cloud.folder):
        cloud.fault("out_of_place", words)
    return {"clips": len(clips), "spoilt": plan.spoilt, "names": len(media_names.NAMES), "kills": kills}


def is_good(ledger: dict) -> bool:
    """All that should be was refused, in time and in words, and nothing else was lost."""
    return not any(ledger[name] for name in FAULTS) and ledger["refused"] > 0 and ledger["kills"] > 0


def _show(cloud: Cloud, client: FlaskClient, name: str, one: Hostile) -> None:
    """Every page of one hostile clip, behind a sound one, so that the process that decodes is there."""
    videos, pictures = cloud.shelf.videos, cloud.shelf.pictures
    sha256 = cloud.deliver(one.data)
    if not one.data:
        cloud.found["refused"] += cloud.shelf.videos.fault(sha256) is None
        return
    _warm(cloud)
    lane = pictures if name.startswith("evidence") else videos.decoding
    pid, began_ms = lane.pid, _cpu_ms(lane)
    try:
        pictures.heat(cloud.shelf.store.clip(sha256)) if lane is pictures else videos.of(sha256)
        refused = ""
    except StoreError as error:
        refused = str(error)
    took_ms = _cpu_ms(lane) - began_ms if lane.pid == pid else 0.0
    if lane.pid != pid:
        cloud.fault("ended", f"{name}: {refused}")
    _judge(cloud, name, one, (refused, took_ms))
    if refused and lane is not pictures and not videos.fault(sha256):
        cloud.fault("wordless", f"{name}: the page says nothing of {refused}")
    for path in PAGES:
        status = client.get(path.format(sha256)).status_code
        if status >= 500:
            cloud.fault("pages_broken", f"{name}: {path} {status}")


def _judge(cloud: Cloud, name: str, one: Hostile, came: tuple[str, float]) -> None:
    refused, took_ms = came
    cloud.found["refused"] += bool(refused)
    if one.harmless:
        if refused:
            cloud.fault("harmless_refused", f"{name}: {refused}")
        return
    cloud.slowest_ms = max(cloud.slowest_ms, took_ms)
    if not refused:
        cloud.fault("let_in", name)
    if took_ms > MOST_MS:
        cloud.fault("slow", f"{name}: {took_ms:.0f} ms")


def _warm(cloud: Cloud) -> None:
    path = cloud.folder / "sound.twclip"
    if not path.exists():
        path.write_bytes(hostile_clips.clip([hostile_clips.picture()], evidence=_evidence()))
    for lane in (cloud.shelf.videos.decoding, cloud.shelf.pictures):
        if lane.pid is None:
            lane.heat(path)


def _evidence() -> bytes:
    return hostile_clips.evidence_of(hostile_clips.png(hostile_clips.np.zeros((12, 16), "uint8")))


def _golden(cloud: Cloud, clips: dict[str, Hostile]) -> None:
    """The device's look at golden and reference clips, before any net runs."""
    preprocessing = open_bundle(shipped_bundle()).manifest.preprocessing
    for name, one in clips.items():
        if one.harmless or name.startswith("evidence"):
            continue
        began_s = time.process_time()
        try:
            golden.opened_clip(one.data, preprocessing, "hostile")
            cloud.fault("golden_let_in", name)
        except ModelError:
            cloud.found["refused"] += 1
        took_ms = 1000 * (time.process_time() - began_s)
        cloud.slowest_ms = max(cloud.slowest_ms, took_ms)
        if took_ms > MOST_MS:
            cloud.fault("golden_slow", f"{name}: {took_ms:.0f} ms")


def _spoil(cloud: Cloud, plan: Plan) -> None:
    """Bytes changed by somebody who makes the checksums fit: refused or shown, and the process stays."""
    chance, path = random.Random(plan.seed), cloud.folder / "spoilt.twclip"
    whole, lane = hostile_clips.sound(9), cloud.shelf.videos.decoding
    _warm(cloud)
    pid = lane.pid
    for number in range(plan.spoilt):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(MAGIC), len(data))] = chance.randrange(256)
        path.write_bytes(_sealed(bytes(data)))
        with contextlib.suppress(StoreError):
            lane.video(path)
        if lane.pid != pid:
            cloud.fault("ended", f"spoilt clip {number} of seed {plan.seed}")
            pid = lane.pid


def _sealed(data: bytes) -> bytes:
    """Its records with their checksums made anew."""
    at, sealed = len(MAGIC), [MAGIC]
    while at + 9 <= len(data):
        kind, length = struct.unpack_from("<cI", data, at)
        sealed.append(record(kind, data[at + 5 : at + 5 + length]))
        at += 9 + length
    return b"".join(sealed)


def _kill(cloud: Cloud, client: FlaskClient, plan: Plan) -> int:
    """SIGKILL in the middle of a sound clip; the video is there all the same. One that each process crashes on is
    damaged."""
    lane, kills = cloud.shelf.videos.decoding, 0
    for number in range(plan.kills):
        sha256 = cloud.deliver(hostile_clips.sound(100 + 10 * number, frames=60))
        _warm(cloud)
        with _killing(lane, signal.SIGKILL, once=True) as killed:
            answer = client.get(f"/clips/{sha256}.webm").status_code
        kills += len(killed)
        if answer != 200:
            cloud.fault("good_lost", f"{answer} {cloud.shelf.videos.fault(sha256)}")
        if words := cloud.shelf.videos.fault(sha256):
            cloud.fault("damaged_wrongly", words)
        if client.get("/healthz").status_code != 200:
            cloud.fault("pages_broken", "/healthz")
    crasher = cloud.deliver(hostile_clips.sound(77, frames=400))
    _warm(cloud)
    with _killing(lane, signal.SIGSEGV, once=False) as killed:
        answer = client.get(f"/clips/{crasher}.webm").status_code
    if answer != 404 or "ends every process" not in str(cloud.shelf.videos.fault(crasher)):
        cloud.fault("crasher_shown", f"{answer} {cloud.shelf.videos.fault(crasher)}")
    last = cloud.deliver(hostile_clips.sound(78))
    if client.get(f"/clips/{last}.webm").status_code != 200:
        cloud.fault("good_lost", f"the clip behind the crasher: {cloud.shelf.videos.fault(last)}")
    return kills + len(killed)


@contextlib.contextmanager
def _killing(lane: Decoding, how: signal.Signals, *, once: bool) -> Iterator[list[int]]:
    """Ends whatever process works for the lane, as soon as it works."""
    stop, killed = threading.Event(), list[int]()

    def work() -> None:
        while not stop.is_set() and not (once and killed):
            pid = lane.pid
            if pid is not None and pid not in killed and _is_at_work(pid):
                killed.append(pid)
                os.kill(pid, how)
            stop.wait(0.001)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def _is_at_work(pid: int) -> bool:
    """Encoding runs in threads; one that waits for a job has a single one."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    return False


def _cpu_ms(lane: Decoding) -> float:
    """Of this process and of the one that decodes for it."""
    own_ms = 1000 * time.process_time()
    try:
        fields = Path(f"/proc/{lane.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return own_ms + TICK_MS * (int(fields[11]) + int(fields[12]))
    except OSError:
        return own_ms


def _said(cloud: Cloud) -> str:
    return ", ".join(f"{count} {name}" for name, count in cloud.found.items())


DRILL = Exercise("media", __doc__.splitlines()[0], plan_of, drill, is_good)
run = DRILL.run
