"""A camera's codec: pictures -> what is left of them after the wire, as single JPEGs or as a video.

The video is a plain one: each picture is the one before plus the difference, which is cut into blocks and rounded as
JPEG does it, and now and then a whole picture. As H.264 does, that flattens noise and weakens small things that move.
It needs no encoder, so that the same seed gives the same bytes everywhere.
"""

import cv2
import numpy as np

from calibration.look import StationLook

_WHOLE_EVERY = 50


class CodecOf:
    """The codec of one station's camera; pictures come in order."""

    def __init__(self, look: StationLook) -> None:
        self._codec, self._quality = look.codec, look.jpeg_quality or 90
        self._last: np.ndarray | None = None
        self._count = 0

    def sent(self, image: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 -> the same as it arrives."""
        if self._codec == "none":
            return image
        if self._codec == "jpeg":
            return self._rounded(image)
        whole = self._last is None or self._count % _WHOLE_EVERY == 0
        self._count += 1
        self._last = self._rounded(image) if self._last is None or whole else self._predicted(image, self._last)
        return self._last

    def _predicted(self, image: np.ndarray, last: np.ndarray) -> np.ndarray:
        """The picture before, plus what of the difference survives."""
        change = cv2.addWeighted(image, 1, last, -1, 128, dtype=cv2.CV_8U)
        return cv2.addWeighted(last, 1, self._rounded(change), 1, -128, dtype=cv2.CV_8U)

    def _rounded(self, image: np.ndarray) -> np.ndarray:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
