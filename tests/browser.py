"""What tests in a real browser share: Chromium and its words at start, a free port, waiting for what a page becomes."""

import shutil
import socket
import time

ARGUMENTS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync"
)
CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
PATIENCE_S = 20


def ready(page, selector: str) -> None:
    """The page is there and listens to keys."""
    page.wait_for_selector(selector)
    page.wait_for_load_state("domcontentloaded")


def becomes(page, condition: str) -> bool:
    """Asks again and again, also across a change of pages; the page's own policy forbids the browser to wait for it.

    The condition may name `video` and `picture`, the player's two.
    """
    from playwright.sync_api import Error

    named = "const video = document.getElementById('video'), picture = document.getElementById('picture');"
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if page.evaluate(f"() => {{ {named} return {condition}; }}"):
                return True
        except Error as error:
            if "context was destroyed" not in str(error):
                raise
        page.wait_for_timeout(20)
    return False


def barriers(page) -> list[str]:
    """What axe finds that keeps somebody out: the rule, and where. Waits for the style sheets first: a page that is
    there without them is not what anybody reads.
    """
    from axe_playwright_python.sync_playwright import Axe

    page.wait_for_load_state("load")
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}" for one in found]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
