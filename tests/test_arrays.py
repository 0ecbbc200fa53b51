"""What a stage of training keeps is whole or absent."""

from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import StoreError
from models import arrays


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_saved_is_read_again(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "7.npz"
    arrays.save(path, packed=packed, rows=np.arange(12.0).reshape(3, 4), size=(640, 480))
    with np.load(path) as kept:
        assert kept["rows"].shape == (3, 4) and kept["size"].tolist() == [640, 480]
    assert [one.name for one in tmp_path.iterdir()] == ["7.npz"]


def test_what_does_not_get_to_the_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "7.npz"
    arrays.save(path, rows=np.zeros(3))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        arrays.save(path, rows=np.ones(300))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
