"""What every test may ask for: the folder of real recordings, quiet threads, and whether this is a full run."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before numpy, torch and OpenCV are loaded: two workers with two cores need one thread each.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest  # noqa: E402

pytest_plugins = ["cloud_kinds"]

REAL_DATA = "TANKWATCH_REAL_DATA"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also the tests that take minutes or install packages")


TOGETHER = (
    "accounts_browser",
    "answers",
    "data",
    "demo",
    "desk_stories",
    "drift_cloud",
    "drill_camera",
    "drill_canary",
    "drill_clock",
    "drill_promote",
    "drill_restore",
    "evaluate",
    "golden",
    "origin_fit",
    "pages_browser",
    "panel_alarms",
    "panel_browser",
    "player_browser",
    "provision",
    "retraining",
    "review_browser",
    "setup_browser",
    "subscriber",
    "train",
    "twin_audit",
)
"""Modules whose tests share what takes long to make: one worker runs them all, so that it is made once."""


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Modules of TOGETHER go to a worker as a whole and first, every other test on its own."""
    from xdist.scheduler import LoadScopeScheduling

    together = tuple(f"tests/test_{name}.py" for name in TOGETHER)
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: nodeid.partition("::")[0] if nodeid.startswith(together) else nodeid
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --full the long tests are not part of the run, rather than skipped in it."""
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def one_opencv_thread() -> None:
    """OpenCV takes its number of threads from its own call alone."""
    import cv2

    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; a test that needs it is skipped, with this reason, where there is none."""
    named = os.environ.get(REAL_DATA)
    if not named or not Path(named).is_dir():
        pytest.skip(f"real data are absent: {REAL_DATA} names no folder")
    return Path(named)


@pytest.fixture(scope="session")
def quick_passwords() -> Iterator[None]:
    """argon2id as it is, but with little memory: these tests sign in dozens of times."""
    from argon2 import PasswordHasher

    from cloud_sync import accounts

    patch = pytest.MonkeyPatch()
    patch.setattr(accounts, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    accounts._nobodys_hash.cache_clear()
    yield
    patch.undo()
    accounts._nobodys_hash.cache_clear()


@pytest.fixture
def site(tmp_path: Path, new_cloud, quick_passwords: None):
    """A cloud with pages and people, of each kind."""
    from desk_site import Site

    site = Site(tmp_path, new_cloud(tmp_path / "cloud"))
    yield site
    site.engine.dispose()
