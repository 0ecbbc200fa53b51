"""Whatever is handed to the command line: status 1 or 2 with one clear line on stderr, and never a traceback."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import segno

import tankwatch
from edge_agent import station
from edge_agent.inspection import shipped_bundle
from tests.fakes_camera import paint, reference_corners
from tests.fakes_tape import PROFILE, write_device

ROOT = Path(tankwatch.__file__).parent


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def told(capfd):
    """Runs a command in this process; what is no TankwatchError comes through as a traceback and fails the test."""

    def run(*words: object) -> Ended:
        capfd.readouterr()
        try:
            status = tankwatch.main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        return Ended(status, *capfd.readouterr())

    return run


@pytest.fixture
def refused(told):
    """The one line in which a command refuses."""

    def run(*words: object) -> str:
        ended = told(*words)
        assert (ended.status, ended.out) == (1, "")
        (line,) = ended.err.splitlines()
        assert line.startswith(f"tankwatch {words[0]}: ")
        # Fact and cure: what is wrong, and after the last colon what to do.
        assert ": " in line.removeprefix(f"tankwatch {words[0]}: ")
        return line

    return run


def command(*words: object) -> Ended:
    """The command in a process of its own, where the libraries write to stderr what they like."""
    run = subprocess.run(
        [sys.executable, ROOT / "tankwatch.py", *map(str, words)],
        capture_output=True, text=True, timeout=60, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return Ended(run.returncode, run.stdout, run.stderr)


def noise(count: int, size: tuple[int, int] = (320, 240)) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(60, 180, (size[1], size[0], 3), np.uint8) for _ in range(count)]


def video(path: Path, pictures: list[np.ndarray], fps: float = 20) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def folder_of(path: Path, pictures: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    for name, picture in pictures.items():
        cv2.imwrite(str(path / name), picture)
    return path


def with_rate(path: Path, scale: int, rate: int) -> Path:
    """An AVI that claims `rate / scale` pictures a second (the stream's header, dwScale and dwRate)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 28
    data[at : at + 8] = struct.pack("<II", scale, rate)
    if not rate:
        main = data.index(b"avih") + 8
        data[main : main + 4] = bytes(4)
    return written(path, bytes(data))


def held_upright(picture: np.ndarray) -> bytes:
    """A JPEG of a camera that was turned by 90 degrees and says so in its EXIF (orientation 6)."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"MM\x00*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    payload = b"Exif\x00\x00" + tiff
    plain = cv2.imencode(".jpg", picture)[1].tobytes()
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + plain[2:]


def is_json(text: str) -> bool:
    return all(isinstance(json.loads(line), dict) for line in text.splitlines())


# --- recordings


def test_recordings_that_are_none_are_refused(refused, tmp_path):
    assert "does not exist" in refused("inspect", tmp_path / "missing.mp4")
    assert "is empty" in refused("inspect", written(tmp_path / "empty.mp4", b""), "--json")
    assert "is empty" in refused("inspect", "/dev/null")
    assert "holds no image" in refused("inspect", tmp_path.joinpath("nothing").mkdir() or tmp_path / "nothing")
    assert "is no clip" in refused("inspect", written(tmp_path / "bad.twclip", b"nothing"))
    assert "is no clip" in refused("replay", written(tmp_path / "empty.twclip", b""))
    assert "cannot be read" in refused("replay", tmp_path / "missing.twclip")


@pytest.mark.parametrize("data", [b"hello " * 99, b"\x00\x00\x00\x18ftypisom" + bytes(400)], ids=["text", "mp4 head"])
def test_a_file_that_is_no_video_gets_our_one_line_and_none_of_the_librarys(tmp_path, data):
    ended = command("inspect", "--json", written(tmp_path / "a.mp4", data))
    assert (ended.status, ended.out) == (1, "")
    (line,) = ended.err.splitlines()
    assert "is no video that can be read" in line


def test_a_truncated_video_is_inspected_as_far_as_it_goes(tmp_path):
    whole = video(tmp_path / "whole.avi", noise(12)).read_bytes()
    ended = command("inspect", "--single", "--json", written(tmp_path / "cut.avi", whole[: len(whole) // 2]))
    assert ended.status == 0
    assert json.loads(ended.out)["frames"] < 12
    (line,) = ended.err.splitlines()
    assert "cut off or damaged" in line


def test_folders_with_gaps_are_inspected_and_mixed_sizes_refused(told, refused, tmp_path):
    pictures = {f"a{number}.png": picture for number, picture in zip((1, 2, 3, 7, 8), noise(5), strict=True)}
    ended = told("inspect", "--single", "--json", folder_of(tmp_path / "gaps", pictures))
    assert (ended.status, is_json(ended.out), json.loads(ended.out)["dropped"]) == (0, True, 3)
    assert "3 images are missing" in ended.err
    mixed = {"a1.png": noise(1)[0], "a2.png": noise(1, (320, 200))[0]}
    assert "a2.png is 320x200, a1.png is 320x240" in refused("inspect", folder_of(tmp_path / "mixed", mixed))
    (tmp_path / "broken").mkdir()
    written(tmp_path / "broken" / "a1.png", b"\x89PNG\r\n\x1a\nxxxx")
    assert "can be decoded" in refused("inspect", tmp_path / "broken")


def unusual(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> a recording that is odd, and the verdict that it deserves. Its noise is no bubble."""
    rng = np.random.default_rng(2)
    half = [np.where(rng.random((240, 320)) < 0.5, 0, 255).astype(np.uint8) for _ in range(6)]
    deep = [rng.integers(15_000, 46_000, (240, 320)).astype(np.uint16) for _ in range(6)]
    upright = folder / "upright"
    upright.mkdir()
    for number, picture in enumerate(noise(6)):
        written(upright / f"a{number}.jpg", held_upright(picture))
    one_bit = folder / "one_bit"
    one_bit.mkdir()
    for number, picture in enumerate(half):
        cv2.imwrite(str(one_bit / f"a{number}.png"), picture, [cv2.IMWRITE_PNG_BILEVEL, 1])
    return {
        "one frame": (video(folder / "one.avi", noise(1)), "not_tested"),
        "two frames": (video(folder / "two.avi", noise(2)), "not_tested"),
        "1 frame a second": (video(folder / "slow.avi", noise(8), 1), "uncertain"),
        "1,000 frames a second": (video(folder / "fast.avi", noise(60), 1000), "uncertain"),
        "0 frames a second": (with_rate(video(folder / "zero.avi", noise(8)), 1, 0), "uncertain"),
        "100,000 frames a second": (with_rate(video(folder / "mad.avi", noise(8)), 1, 100_000), "uncertain"),
        "1 bit": (one_bit, "uncertain"),
        "16 bits": (folder_of(folder / "deep", {f"a{n}.png": one for n, one in enumerate(deep)}), "uncertain"),
        "12 bits of 16": (
            folder_of(folder / "low", {f"a{n}.png": one >> 4 for n, one in enumerate(deep)}),
            "uncertain",
        ),
        "portrait": (video(folder / "portrait.avi", noise(6, (240, 426))), "uncertain"),
        "held upright": (upright, "uncertain"),
        "64x48": (video(folder / "small.avi", noise(6, (64, 48))), "uncertain"),
        "4K": (video(folder / "large.avi", noise(4, (3840, 2160))), "uncertain"),
    }


def test_unusual_pictures_and_rates_get_a_verdict_from_inspect_and_the_same_from_evaluate(told, tmp_path):
    recordings = unusual(tmp_path)
    said = {}
    for name, (path, verdict) in recordings.items():
        ended = told("inspect", "--single", "--json", path)
        said[name] = json.loads(ended.out)
        assert (name, ended.status, said[name]["verdict"]) == (name, 0, verdict)
    lines = [{"video": str(path.relative_to(tmp_path)), "label": "ok"} for path, _ in recordings.values()]
    manifest = written(tmp_path / "manifest.jsonl", "\n".join(map(json.dumps, lines)).encode())
    ended = told("evaluate", manifest, "--json", "--jobs", 1)
    *cases, summary = map(json.loads, ended.out.splitlines())
    assert [(case["verdict"], case["score"]) for case in cases] == [
        (case["verdict"], case["score"]) for case in said.values()
    ]
    assert (summary["auc"], summary["verdicts"]["not_tested"]) == (None, 2)


def test_how_unusual_pictures_were_read_is_said(told, tmp_path):
    recordings = unusual(tmp_path)

    def notes(name: str) -> str:
        return told("inspect", "--single", recordings[name][0]).err

    assert "12 are used" in notes("12 bits of 16")
    assert "are used" not in notes("16 bits")
    assert "does not tell its frame rate: 25 frames/s assumed" in notes("100,000 frames a second")

    fast = recordings["100,000 frames a second"][0]
    manifest = written(tmp_path / "m.jsonl", json.dumps({"video": str(fast), "label": "ok"}).encode())
    ended = told("evaluate", manifest, "--json", "--jobs", "1")
    assert f"{fast}: {fast.name} does not tell its frame rate" in ended.err
    assert "frame rate" in json.loads(ended.out.splitlines()[0])["notes"][0]


def test_a_picture_too_small_for_the_net_is_refused_with_its_name(refused, tmp_path):
    tiny = video(tmp_path / "tiny.avi", noise(6, (16, 16)))
    assert "16x16 px, 32 px are needed" in refused("inspect", "--single", tiny)
    manifest = written(tmp_path / "manifest.jsonl", b'{"video": "tiny.avi", "label": "ok"}')
    assert "tiny.avi: a tank view of 16x16 px, 32 px are needed" in refused("evaluate", manifest)


def test_a_manifest_that_cannot_be_used_is_refused_in_one_line(refused, tmp_path):
    for text in (b"", b"{", b"\xff\xfe", b'{"video": "a", "label": "maybe"}', b'{"video": "a", "label": "ok"}'):
        refused("evaluate", written(tmp_path / "manifest.jsonl", text))
    refused("evaluate", tmp_path)
    refused("evaluate", tmp_path / "none.jsonl")


def test_two_frames_are_too_few_for_a_verdict(told, tmp_path):
    ended = told("inspect", "--single", "--json", video(tmp_path / "two.avi", noise(2)))
    assert (ended.status, json.loads(ended.out)["verdict"]) == (0, "not_tested")


def test_foreign_codes_in_the_picture_are_ignored(told, tmp_path):
    picture = cv2.cvtColor(paint({"TL": reference_corners()["TL"]}), cv2.COLOR_GRAY2BGR)
    foreign = np.array([[40 if dark else 205 for dark in row] for row in segno.make("https://example.com/").matrix])
    code = np.kron(np.pad(foreign, 4, constant_values=205), np.ones((5, 5))).astype(np.uint8)
    picture[200 : 200 + len(code), 200 : 200 + len(code)] = code[:, :, None]
    ended = told("inspect", "--single", "--json", video(tmp_path / "codes.avi", [picture] * 5))
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["framing"]["status"] == "unchecked"


def test_a_station_without_lamps_is_undecided_and_no_fault(told, tmp_path):
    profile = written(tmp_path / "station.toml", station.dump(msgspec.structs.replace(PROFILE, lamps=())))
    recording = video(tmp_path / "a.avi", noise(5, (640, 480)))
    ended = told("inspect", "--single", "--json", recording, "--station", profile)
    assert (ended.status, json.loads(ended.out)["decision"]) == (0, "none")


@pytest.mark.full
def test_cameras_that_are_not_there_are_refused_after_a_moment():
    both = [
        subprocess.Popen(
            [sys.executable, ROOT / "tankwatch.py", "inspect", source, "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for source in ("/dev/video9", "rtsp://user:secret@127.0.0.1:1/x")
    ]  # fmt: skip
    for process, cause in zip(both, ("check cable and power", "127.0.0.1:1 does not answer"), strict=True):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (1, "")
        assert "cannot be opened" in err.splitlines()[-1] and cause in err.splitlines()[-1]
        assert "secret" not in err and "Traceback" not in err
        assert len(err.splitlines()) <= 2, "the first attempt's trouble, and why it was given up"


@pytest.mark.parametrize("source", ["twin:colours=3", "twin:seed=x", "twin:fault=zap@3", "twin:profile=zap"])
def test_a_twin_that_cannot_be_is_refused(refused, source):
    refused("inspect", source)


# --- files that people write


def test_a_station_profile_with_an_unknown_key_or_of_another_camera_is_refused(refused, tmp_path):
    recording = video(tmp_path / "a.avi", noise(5))
    good = station.dump(PROFILE)
    assert "`colour`" in refused(
        "inspect", recording, "--station", written(tmp_path / "a.toml", b"colour = 1\n" + good)
    )
    assert "320x240" in refused("inspect", recording, "--single", "--station", written(tmp_path / "b.toml", good))
    assert "cannot be read" in refused("inspect", recording, "--station", tmp_path)


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame_size_px": (-640, 0)}, "frame_size_px"),
        ({"view_size_px": (580, 90_000)}, "view_size_px"),
        ({"px_per_mm": 0.0}, "px_per_mm"),
        ({"px_per_mm": NAN}, "px_per_mm"),
        ({"required_hold_s": -1.0}, "required_hold_s"),
        ({"tank_px": ((0.0, 0.0),) * 4}, "tank_px"),
        ({"tank_px": ((NAN, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))}, "tank_px"),
        ({"markers": ()}, "one marker"),
        ({"markers": PROFILE.markers[:1] * 2}, "one marker"),
        ({"lamps": (msgspec.structs.replace(PROFILE.lamps[0], rect_px=(-5, 0, 20, 20)),)}, "is not in the picture"),
        ({"lamps": PROFILE.lamps[:1] * 2}, "two lamps"),
        ({"empty_view": "AAAA"}, "768 are needed"),
        ({"empty_view": "no base64"}, "base64"),
    ],
)
def test_a_station_profile_that_makes_no_sense_is_refused_by_name(refused, tmp_path, change, words):
    profile = station.dump(msgspec.structs.replace(PROFILE, **change))
    assert words in refused("inspect", "twin:cases=1", "--station", written(tmp_path / "station.toml", profile))


@pytest.mark.parametrize("program", ["inspect", "uplink"])
def test_a_device_file_that_cannot_be_used_is_refused(refused, tmp_path, program):
    device = write_device(tmp_path)
    good = device.read_text()

    def refusal(text: str) -> str:
        device.write_text(text)
        return refused("agent", program, "--config", device)

    assert "`colour`" in refusal("colour = 1\n" + good)
    assert "`brokr`" in refusal(good + "\n[brokr]\n")
    assert "site" in refusal("")
    assert "at `$.mode`" in refusal(good.replace('"shadow"', '"turbo"'))
    assert "at `$.broker.port`" in refusal(good.replace("1883", "99999"))
    # A station.toml that is not there yet is waited for: tests/test_set_up_under_way.py, tests/test_uplink.py.
    assert "cannot be written" in refusal(good.replace('"data"', '"device.toml"'))
    assert "cannot be read" in refused("agent", program, "--config", tmp_path / "nothing.toml")


@pytest.mark.parametrize("program", ["ingest", "web"])
def test_a_cloud_file_that_cannot_be_used_is_refused(refused, tmp_path, program):
    config = tmp_path / "cloud.toml"
    for text, words in (("colour = 1", "`colour`"), ("[broker]\nzap = 1", "`zap`"), ("[web]\nport = -1", "$.web.port")):
        config.write_text(text)
        assert words in refused("cloud", program, "--config", config)
    config.write_text('data_dir = "cloud.toml"')
    assert "cloud.toml" in refused("cloud", program, "--config", config)


def test_a_port_in_use_is_refused(refused, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}" in refused("demo", "--headless", "--cases", 1, "--port", port)
        config = tmp_path / "cloud.toml"
        config.write_text(f"data_dir = 'cloud'\n[web]\nport = {port}\n")
        assert str(port) in refused("cloud", "web", "--config", config)


# --- bundles


def test_a_bundle_that_is_damaged_or_none_is_refused(refused, tmp_path):
    good = shipped_bundle().read_bytes()
    middle = len(good) // 2
    tampered = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
    recording = video(tmp_path / "a.avi", noise(5))
    for number, data in enumerate((b"", good[:middle], tampered, b"PK\x05\x06" + bytes(18))):
        bundle = written(tmp_path / f"{number}.bundle", data)
        refused("inspect", recording, "--bundle", bundle)
        refused("bundle", "verify", bundle)
    assert "cannot be read" in refused("inspect", recording, "--challenger", tmp_path / "none.bundle")


# --- words


@pytest.mark.parametrize(
    "words",
    [
        "zap", "agent", "agent zap", "agent inspect", "cloud", "bench", "bench zap", "drill zap", "inspect",
        "inspect a.avi --colour", "inspect a.avi --seed x", "replay", "calibrate", "calibrate zap", "twin zap",
        "bundle zap x", "evaluate", "doctor --zap", "demo --cases x", "demo --cases -1",
    ],
)  # fmt: skip
def test_a_wrong_use_is_status_2_with_words_on_stderr(told, words):
    ended = told(*words.split())
    assert (ended.status, ended.out) == (2, "")
    assert "tankwatch" in ended.err


def test_ctrl_c_on_a_live_source_ends_without_a_traceback(tmp_path):
    process = subprocess.Popen(
        [sys.executable, ROOT / "tankwatch.py", "agent", "inspect", "--config", write_device(tmp_path, "/dev/video9")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 20
    while not (tmp_path / "data" / "state.json").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert all(line.startswith("WARNING ") for line in err.splitlines())
