"""The part of `drill kill` in which the whole agent dies, camera to outbox, at its named points and at random moments.

The twin's frames come as fast as they can be looked at; after each start it begins with its first unit again.
"""

import contextlib
import functools
import io
import random
import sys
import time

import msgspec

from benchmarks.exercise import Say
from benchmarks.installation import until
from benchmarks.kill_points import Plan
from benchmarks.kill_site import Site, said_by_agent
from benchmarks.made_cases import STATION
from calibration.twin import open_twin
from edge_agent import config as device_config
from edge_agent.agent import agent_inspect

LONGEST_S = 2.5
"""Between two kills: about as long as two cases take, so that every phase is hit."""
PATIENCE_S = 120.0


def run(site: Site, plan: Plan, say: Say) -> dict[str, list[str]]:
    """Cases and kills of the plan; what did not hold at the named points."""
    work = functools.partial(_agent, site)
    broken: dict[str, list[str]] = {}
    for point in plan.points:
        if point.process == "agent":
            struck = site.dies("agent", point.moment, work)
            say(f"agent: {point.words}: {'died there' if struck else 'did not come to it'}")
            broken |= {} if struck else {point.words: ["the process did not come to this point"]}
    if plan.frames:
        site.processes.starts["agent"] = work
        site.processes.start("agent")
        _kill(site, plan, say)
        _end(site)
    return broken


def _kill(site: Site, plan: Plan, say: Say) -> None:
    """Until both the cases and the kills of the plan are reached."""
    chance, kills, made, moved_s = random.Random(plan.seed), 0, 0, time.monotonic()
    while kills < plan.frame_kills or made < plan.frames:
        before, made = made, len(said_by_agent(site.agent_log))
        moved_s = time.monotonic() if made > before else moved_s
        if time.monotonic() - moved_s > PATIENCE_S or not site.processes.alive["agent"].is_alive():
            raise RuntimeError(f"the agent makes no cases any more: see {site.agent_log}")
        # Kills are spread over the cases: none before its turn, unless the cases are there already.
        due = made >= plan.frames or kills * plan.frames < made * plan.frame_kills
        time.sleep(chance.uniform(0.05, LONGEST_S))
        if due and kills < plan.frame_kills:
            site.processes.kill("agent")
            site.processes.start("agent")
            kills += 1
            say(f"the whole agent: {kills} of {plan.frame_kills} kills, {made} of {plan.frames} cases")


def _end(site: Site) -> None:
    """As it is wanted to end, once it has started again: then nothing unfinished is left."""
    agent, asked_at, path = site.processes.alive["agent"], time.time(), site.device.state_path
    until(lambda: path.exists() and path.stat().st_mtime > asked_at, PATIENCE_S)
    agent.terminate()
    agent.join(PATIENCE_S)
    if agent.exitcode != 0:
        raise RuntimeError(f"the agent ended with status {agent.exitcode}: see {site.agent_log}")


def _agent(site: Site) -> None:
    """`agent inspect`, its lines in the log."""
    config = site.folder / "device.toml"
    camera = f"twin:seed=1,profile=demo,station={STATION},cases=100000"
    config.write_bytes(device_config.dump(msgspec.structs.replace(site.device, camera=camera)))
    with (
        open(site.agent_log, "a", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        sys.exit(agent_inspect(["--config", str(config)], openers={"twin:": open_twin}))
