"""`drill web`: no forged form is taken by any address that there is, and nothing that is sent is answered with a 5xx.

Addresses come from the applications themselves, the cloud's and the device's panel; what ASVS 5.0 asks beyond that
is in docs/security/asvs.md, each item with its test or its reason.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import web_forgery, web_fuzz
from benchmarks.exercise import Exercise, Ledger, Say
from benchmarks.visitor import OURS, Visitor, token_in
from benchmarks.web_forgery import Walk
from benchmarks.web_fuzz import Sent
from benchmarks.web_site import PIN, Cloud, make_cloud, make_panel


@dataclass(frozen=True, slots=True)
class Plan:
    """Requests in all; a third of them goes to the API."""

    requests: int
    seed: int


def plan(full: bool, seed: int) -> Plan:
    return Plan(50_000 if full else 500, seed)


def drill(plan: Plan, folder: Path, say: Say) -> Ledger:
    """Runs it in `folder` and gives the ledger."""
    began_s = time.monotonic()
    logging.disable(logging.CRITICAL)
    try:
        cloud = make_cloud(folder / "cloud")
        walks = forged(cloud, folder)
        say(f"{sum(walk.routes for walk in walks)} writing routes: {[one for walk in walks for one in walk.let_in]}")
        sent = fuzzed(cloud, plan, say)
    finally:
        logging.disable(logging.NOTSET)
    return make_ledger(walks, sent) | {"seed": plan.seed, "seconds": round(time.monotonic() - began_s, 1)}


def forged(cloud: Cloud, folder: Path) -> list[Walk]:
    """The cloud as administrator, and the panel as somebody who knows its PIN."""
    engine = cloud.app.extensions["tankwatch"].engine
    walk = web_forgery.walked(cloud.app, cloud.admin.client, cloud.known, held=lambda: web_forgery.digest(engine))
    panel = make_panel(folder / "panel")
    somebody = Visitor(panel.test_client())
    somebody.token = token_in(somebody.get("/pin").text)
    assert somebody.send("/pin", {"pin": PIN, "next": "/"}).status_code == 302, "the PIN lets in"
    return [walk, web_forgery.walked(panel, somebody.client, {})]


def fuzzed(cloud: Cloud, plan: Plan, say: Say) -> list[Sent]:
    """As many requests as planned, in rounds, so that a few to each address come first."""
    operations = len(web_fuzz.described(cloud.app)["paths"]) * 1.3
    found: list[Sent] = []
    while (left := plan.requests - sum(one.requests for one in found)) > 0:
        number = plan.seed + len(found)
        examples = max(1, min(40, round(left * 2 / 3 / operations)))
        found.append(web_fuzz.pages(cloud.app, _browser(cloud), cloud.known, examples=examples, number=number))
        for_api = max(1, min(200, round(left / 3 / 10)))
        found.append(web_fuzz.api(cloud.app, cloud.bearer, cloud.known, examples=for_api, number=number))
        say(f"{sum(one.requests for one in found)} requests, {sum(len(one.faults) for one in found)} faults")
    return found


def make_ledger(walks: list[Walk], sent: list[Sent]) -> Ledger:
    """What was tried and what was let in, or answered wrongly."""
    statuses: dict[str, int] = {}
    for one in sent:
        for status, count in one.by_status.items():
            statuses[str(status)] = statuses.get(str(status), 0) + count
    return {
        "drill": "web",
        "writing_routes": sum(walk.routes for walk in walks),
        "forged": sum(walk.tried for walk in walks),
        "exempt": sorted({name for walk in walks for name in walk.exempt}),
        "let_in": [one for walk in walks for one in walk.let_in],
        "requests": sum(one.requests for one in sent),
        "signed_out": sum(one.signed_out for one in sent),
        "by_status": dict(sorted(statuses.items())),
        "faults": sorted({fault for one in sent for fault in one.faults}),
    }


def is_good(found: Ledger) -> bool:
    """Nothing let in, nothing answered wrongly, and the requests came from somebody who was signed in."""
    clean = not found["let_in"] and not found["faults"]
    return clean and found["writing_routes"] > 40 and found["signed_out"] < found["requests"] / 10


def _browser(cloud: Cloud) -> Callable[[], tuple[dict[str, str], dict[str, str]]]:
    """The administrator's browser: a session holds for the one and the address that it began with."""

    def browser() -> tuple[dict[str, str], dict[str, str]]:
        cookie = cloud.admin.client.get_cookie("tankwatch")
        assert cookie is not None
        own = {"User-Agent": cloud.admin.client.environ_base["HTTP_USER_AGENT"], "X-Forwarded-For": "127.0.0.1"}
        return {**OURS, **own, "X-CSRFToken": cloud.admin.token}, {"tankwatch": cookie.value}

    return browser


run = Exercise("web", "Forged forms, and whatever else can be sent.", plan, drill, is_good).run
