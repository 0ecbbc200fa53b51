"""Recordings -> Frames: video files and folders of images, as many frames as can be read, with a note on the rest."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agent.capture import quiet_opencv
from edge_agent.errors import StationError
from edge_agent.picture_size import picture_size
from edge_agent.records import Frame

USUAL_FPS = 25.0
"""Assumed where a recording does not tell."""
FASTEST_FPS = 10_000.0
"""A recording that claims more tells no time."""
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
SENSOR_BITS = 10, 12, 14, 16
"""Sensors give so many bits a pixel, and files of 16 bits hold them in the lower ones."""
SHARE_READABLE = 0.98
"""Containers estimate their length: fewer frames than this share of it are worth a note."""


class VideoFile:
    """Any video that OpenCV's FFmpeg reads; capture times are the container's."""

    live = False

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        """What is wrong with the recording but does not stop it, each with its cure."""
        self._path = path
        self._capture: cv2.VideoCapture | None = self._opened()
        self._fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._timed = self._fps < FASTEST_FPS
        if not 0 < self._fps < FASTEST_FPS:
            self._fps = USUAL_FPS
            self.notes.append(f"{path.name} does not tell its frame rate: {USUAL_FPS:.0f} frames/s assumed")
        claimed = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frame_count: int | None = int(claimed) if 0 < claimed < 1e9 else None

    def frames(self) -> Iterator[Frame]:
        capture, self._capture = self._capture or self._opened(), None
        began_at, previous_s, first_ms, count = self._path.stat().st_mtime, -1.0, None, 0
        try:
            while True:
                readable, image = capture.read()
                if not readable:
                    break
                ms = capture.get(cv2.CAP_PROP_POS_MSEC)
                first_ms = ms if first_ms is None else first_ms
                now_s = self._time_s((ms - first_ms) / 1000, previous_s)
                yield Frame(image, count, now_s, began_at + now_s)
                previous_s, count = now_s, count + 1
        finally:
            capture.release()
        self._judge_length(count)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _opened(self) -> cv2.VideoCapture:
        quiet_opencv()
        try:
            size = self._path.stat().st_size
            with self._path.open("rb"):
                pass
        except OSError as error:
            raise StationError(f"recording {self._path} cannot be read ({error.strerror}): check its rights") from error
        if size == 0:
            raise StationError(f"recording {self._path} is empty (0 bytes): record it again")
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise StationError(
                f"{self._path} is no video that can be read: give another file, or repair it with ffmpeg"
            )
        return capture

    def _time_s(self, told_s: float, previous_s: float) -> float:
        """The container's time where it rises, else one frame after the previous."""
        if not self._timed:
            return 0.0 if previous_s < 0 else previous_s + 1 / self._fps
        if told_s > previous_s:
            return told_s
        note = f"{self._path.name} has frames without a rising capture time: {self._fps:g} frames/s assumed there"
        if note not in self.notes:
            self.notes.append(note)
        return previous_s + 1 / self._fps

    def _judge_length(self, count: int) -> None:
        if count == 0:
            raise StationError(f"{self._path} holds no picture that can be decoded: record it again")
        if self.frame_count and count < SHARE_READABLE * self.frame_count - 1:
            claim = f"{count} of {self.frame_count} frames of {self._path.name} can be read"
            self.notes.append(f"only {claim}: the file is cut off or damaged")


class ImageFolder:
    """A folder of images of one size, in natural order; gaps in their numbers are dropped frames."""

    live = False

    def __init__(self, folder: Path, fps: float = USUAL_FPS) -> None:
        self.notes: list[str] = [f"images carry no capture times: {fps:g} frames/s assumed"]
        self._fps = fps
        self._bits: int | None = None
        self._paths = sorted(_images(folder), key=_natural)
        if not self._paths:
            raise StationError(f"folder {folder} holds no image: give one with {' '.join(sorted(IMAGE_SUFFIXES))}")
        self._refuse_mixed_sizes()
        self._numbers = _numbers([path.stem for path in self._paths])
        self.frame_count: int | None = len(self._paths)
        dropped = self._numbers[-1] + 1 - len(self._numbers)
        if dropped:
            self.notes.append(f"{dropped} images are missing between {self._paths[0].name} and {self._paths[-1].name}")

    def frames(self) -> Iterator[Frame]:
        first: tuple[Path, tuple[int, int]] | None = None
        for number, path in zip(self._numbers, self._paths, strict=True):
            image = _decoded(path)
            if image is None:
                self.notes.append(f"{path.name} cannot be decoded and is left out")
                continue
            size = image.shape[1], image.shape[0]
            first = first or (path, size)
            # Headers tell the size before a camera that was held upright says so in its EXIF.
            if size != first[1]:
                raise StationError(_sizes_differ(path, size, *first))
            yield Frame(self._in_eight_bits(image, path), number, number / self._fps, path.stat().st_mtime)
        if first is None:
            raise StationError(f"no image of {self._paths[0].parent} can be decoded: record them again")

    def close(self) -> None:
        self._paths, self._numbers = [], []

    def _refuse_mixed_sizes(self) -> None:
        """As far as their headers tell the sizes; before anything is inspected."""
        sizes = [(path, size) for path in self._paths if (size := _header_size(path))]
        for path, size in sizes:
            if size != sizes[0][1]:
                raise StationError(_sizes_differ(path, size, *sizes[0]))

    def _in_eight_bits(self, image: np.ndarray, path: Path) -> np.ndarray:
        """The same picture as uint8. How many bits a 16-bit file really holds is taken from the first picture."""
        if image.dtype == np.uint8:
            return image
        if self._bits is None:
            self._bits = next(bits for bits in SENSOR_BITS if int(image.max()) < 1 << bits)
            if self._bits < SENSOR_BITS[-1]:
                self.notes.append(f"{path.name} has 16 bits a pixel of which {self._bits} are used: read as such")
        return np.minimum(image >> (self._bits - 8), 255).astype(np.uint8)


def _sizes_differ(path: Path, size: tuple[int, int], first: Path, first_size: tuple[int, int]) -> str:
    sizes = f"{path.name} is {size[0]}x{size[1]}, {first.name} is {first_size[0]}x{first_size[1]}"
    return f"images of one recording must have one size, but {sizes}: take the others out of {path.parent}"


def _images(folder: Path) -> list[Path]:
    return [
        path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """img2 comes before img10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", path.stem) if part]


def _numbers(stems: list[str]) -> list[int]:
    """Each image's number from 0: from the names where they count in equal steps, else simply their order."""
    plain = list(range(len(stems)))
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", stem) for stem in stems]
    if len(stems) < 3 or any(part is None for part in parts) or len({(p[1], p[3]) for p in parts if p}) != 1:
        return plain
    told = np.array([int(part[2]) for part in parts if part])
    steps = np.diff(told)
    step = Counter(steps.tolist()).most_common(1)[0][0]
    if step <= 0 or (steps % step).any() or (told[-1] - told[0]) // step >= 2 * len(stems):
        return plain
    return [int(number) for number in (told - told[0]) // step]


def _header_size(path: Path) -> tuple[int, int] | None:
    try:
        return picture_size(path.read_bytes())
    except OSError:
        return None


def _decoded(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 or uint16 BGR, upright, or None where the file is no such image."""
    quiet_opencv()
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    return image if image is not None and image.dtype in (np.uint8, np.uint16) else None
