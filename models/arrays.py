"""Named arrays -> a .npz file that is whole or absent, also after a power cut: what took a stage hours is relied on."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent import durable


def save(path: Path, *, packed: bool = False, **arrays: Any) -> None:
    """`arrays`: what numpy makes an array of, by name; `packed`: smaller and slower to write.

    Raises StoreError (disk full, not writable).
    """
    data = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(data, **arrays)
    durable.write(path, data.getvalue())
