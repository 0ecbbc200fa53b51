"""Pictures through a video codec come out as many and changed, or not at all."""

import cv2
import numpy as np
import pytest

from edge_agent.errors import ModelError
from models.codec import through_video


def test_pictures_come_out_as_many_and_compressed() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (48, 64), np.uint8) for _ in range(5)]
    back = list(through_video(pictures, 25.0))
    assert [one.shape for one in back] == [(48, 64)] * 5
    assert all(np.abs(one.astype(int) - picture).mean() > 1 for one, picture in zip(back, pictures, strict=True))


def test_pictures_that_no_codec_has_seen_do_not_pass_for_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoWriter_fourcc", lambda *_: cv2.VideoWriter.fourcc(*"none"))
    with pytest.raises(ModelError, match="did not come back out of MPEG-4"):
        list(through_video([np.zeros((48, 64), np.uint8)] * 3, 25.0))
