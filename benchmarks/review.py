"""`bench review`: what the experts' pages cost with a million cases beside a thousand, while cases keep coming in.

CPU-ms a request are those of the web process, all its threads, over batches of requests; large and small take turns in
pairs, and the figure is the median of the pairs' ratios. It is held to its limit where both answer with as many rows:
50 rows of a million cannot cost what two of a thousand do. Wall times are the client's. A case counts as visible when
another connection finds its look in the table that the queue is read from. Ends with 1 where a limit is broken.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from benchmarks import desk_cases, desk_under_load
from benchmarks.desk_under_load import Cloud
from cloud_sync.search import time_text
from cloud_sync.tables import cases, looks

SMALL, LARGE = 1000, 1_000_000
PAIRS = 9
PER_S = 200
BATCH = 12
"""Requests between two looks at the CPU clock."""
JUDGEMENTS = 4
SEEN = 60
"""Cases whose way into the queue is timed."""
LIMIT_RATIO, LIMIT_PAGE_MS, LIMIT_JUDGEMENT_MS, LIMIT_VISIBLE_MS, LIMIT_KB = 1.25, 50.0, 30.0, 300.0, 150.0
HOUR = {"from": time_text(desk_cases.END - 2 * 3600), "until": time_text(desk_cases.END - 3600)}
SEARCHES = {
    "search all": "",
    "search hour": f"from={HOUR['from']}&until={HOUR['until']}&station=TANK01&result=passed&clarity_below=0.9",
    "search station": "station=TANK01",
    "search rare": "verdict=leak&decision=none",
    "search murky": "result=passed&clarity_below=0.7",
    "search serial": f"serial=SN-{desk_cases.LARGEST - 500:08d}",
    "search leaks": "verdict=leak&decision=ok",
    "search judged": "truth=leak",
}
ASSETS = re.compile(r'(?:src|href)="(/static/[^"]+\.(?:css|js|svg))"')


def run(argv: list[str]) -> int:
    """`tankwatch bench review`."""
    parser = argparse.ArgumentParser("tankwatch bench review", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=LARGE, help="in the large database")
    parser.add_argument("--small", type=int, default=SMALL, help="in the small one")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--work", type=Path, help="where made databases are kept; default: the user's cache folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    figures = measure(options.small, options.cases, pairs=options.pairs, kept=options.work or _cache())
    print(json.dumps(figures) if options.json else _words(figures), file=sys.stdout if options.json else sys.stderr)
    return 0 if not figures["broken"] else 1


def measure(small: int, large: int, *, pairs: int, kept: Path, per_s: float = PER_S) -> dict:
    """All figures; `broken` names the limits that do not hold. `per_s`: cases that come in meanwhile."""
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as name:
        folder = Path(name)
        configs = {
            "small": desk_cases.copy_of(small, kept, folder / "small"),
            "large": desk_cases.copy_of(large, kept, folder / "large"),
        }
        with desk_under_load.both(configs, folder, per_s) as (clouds, stream):
            pages = _pages(clouds, pairs)
            judged = _judgements(clouds, pairs)
            seen_ms = [desk_under_load.visible_s(clouds[1], stream, at) * 1000 for at in range(SEEN)]
            figures = {
                "bench": "review",
                "cases": {"small": small, "large": large, "per_s": per_s, "taken_in": stream.sent},
                "pairs": pairs,
                "pages": pages,
                "judgement": judged,
                "visible_ms": _spread(seen_ms),
                "page_kb": _sizes(clouds[1]),
            }
    return figures | {"broken": _broken(figures)}


def _pages(clouds: Sequence[Cloud], pairs: int) -> dict[str, dict]:
    paths = {cloud.name: {name: cycle(some) for name, some in _paths(cloud).items()} for cloud in clouds}
    figures = {}
    for name in paths["small"]:
        for cloud in clouds:
            _asked(cloud, paths[cloud.name][name])
        figures[name] = _paired(clouds, pairs, lambda cloud, name=name: _asked(cloud, paths[cloud.name][name]))
        figures[name]["rows"] = {cloud.name: _rows(cloud, next(paths[cloud.name][name])) for cloud in clouds}
    return figures


def _rows(cloud: Cloud, path: str) -> int:
    return cloud.get(path)[1].count(b"<tr>")


def _paths(cloud: Cloud) -> dict[str, list[str]]:
    """What is asked for, by name: the newest looks that wait, with a clip, for the pages of one case."""
    with cloud.engine.connect() as connection:
        newest = sa.select(looks.c.case_id).where(looks.c.state == "waiting").order_by(looks.c.id.desc())
        ids = connection.scalars(newest.where(looks.c.case_id.like("%-d35c00-%")).limit(BATCH)).all()
    return {
        "queue": ["/review"],
        "case": [f"/review/{case_id}" for case_id in ids],
        "record": [f"/cases/{case_id}" for case_id in ids],
        "stations": ["/stations"],
        **{name: [f"/cases?{query}"] for name, query in SEARCHES.items()},
    }


def _asked(cloud: Cloud, paths: Iterator[str]) -> tuple[float, list[float]]:
    """CPU-ms a request of one batch, and the wall time of each in ms."""
    wall_ms, before_s = [], cloud.cpu_s()
    for _ in range(BATCH):
        path, began_s = next(paths), time.perf_counter()
        status, _ = cloud.get(path)
        wall_ms.append((time.perf_counter() - began_s) * 1000)
        assert status == 200, f"{path} gave {status}"
    return (cloud.cpu_s() - before_s) * 1000 / BATCH, wall_ms


def _judgements(clouds: Sequence[Cloud], pairs: int) -> dict:
    waiting = {cloud.name: _to_judge(cloud) for cloud in clouds}

    def judge(cloud: Cloud) -> tuple[float, list[float]]:
        ids = [next(waiting[cloud.name]) for _ in range(JUDGEMENTS)]
        for case_id in ids:
            cloud.get(f"/review/{case_id}")
        wall_ms, before_s = [], cloud.cpu_s()
        for case_id in ids:
            began_s = time.perf_counter()
            status, said = cloud.post(f"/review/{case_id}", {"judgement": "ok", "familiar": "yes", "own": "0"})
            wall_ms.append((time.perf_counter() - began_s) * 1000)
            assert status == 200, f"judging {case_id} gave {status}: {said[:200]!r}"
        return (cloud.cpu_s() - before_s) * 1000 / JUDGEMENTS, wall_ms

    return _paired(clouds, pairs, judge)


def _to_judge(cloud: Cloud) -> Iterator[str]:
    """Cases with a clip, the newest first, whether or not a look waits for them."""
    with cloud.engine.connect() as connection:
        newest = sa.select(cases.c.case_id).where(cases.c.clip_sha256.isnot(None)).order_by(cases.c.started_at.desc())
        ids = connection.scalars(newest.limit(1000)).all()
    return iter(ids)


def _paired(clouds: Sequence[Cloud], pairs: int, batch) -> dict:
    """Small and large in turns, each first in every other pair."""
    cpu: dict[str, list[float]] = {cloud.name: [] for cloud in clouds}
    wall: dict[str, list[float]] = {cloud.name: [] for cloud in clouds}
    for turn in range(pairs):
        for cloud in clouds if turn % 2 else reversed(clouds):
            cpu_ms, wall_ms = batch(cloud)
            cpu[cloud.name].append(cpu_ms)
            wall[cloud.name].extend(wall_ms)
    ratios = [large / small for small, large in zip(cpu["small"], cpu["large"], strict=True)]
    return {
        "cpu_ms": {name: round(statistics.median(values), 2) for name, values in cpu.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(min(ratios), 3), round(max(ratios), 3)],
        "wall_p95_ms": {name: round(float(np.percentile(values, 95)), 1) for name, values in wall.items()},
    }


def _sizes(cloud: Cloud) -> dict[str, float]:
    """kB of each page with its style sheet and scripts, without clip and posters."""
    sizes = {}
    for name, paths in _paths(cloud).items():
        page = cloud.get(paths[0])[1]
        assets = sum(len(cloud.get(path)[1]) for path in set(ASSETS.findall(page.decode())))
        sizes[name] = round((len(page) + assets) / 1000, 1)
    return sizes


def _broken(figures: dict) -> list[str]:
    judged = figures["judgement"]
    limits = [
        *((f"{name}: ratio", page["ratio"], LIMIT_RATIO) for name, page in figures["pages"].items() if _alike(page)),
        *((f"{name}: p95", page["wall_p95_ms"]["large"], LIMIT_PAGE_MS) for name, page in figures["pages"].items()),
        ("judgement: ratio", judged["ratio"], LIMIT_RATIO),
        ("judgement: p95", judged["wall_p95_ms"]["large"], LIMIT_JUDGEMENT_MS),
        ("visible: p95", figures["visible_ms"]["p95"], LIMIT_VISIBLE_MS),
        *((f"{name}: kB", size, LIMIT_KB) for name, size in figures["page_kb"].items()),
    ]
    return [f"{what} {value:g}, limit {limit:g}" for what, value, limit in limits if value > limit]


def _alike(page: dict) -> bool:
    return page["rows"]["small"] == page["rows"]["large"]


def _words(figures: dict) -> str:
    held = figures["cases"]
    lines = [
        f"{held['large']} cases beside {held['small']}, {held['per_s']:g} more a second taken in by both "
        f"({held['taken_in']} so far); medians of {figures['pairs']} pairs",
        f"{'':16}{'CPU-ms':>9}{'of small':>10}{'ratio':>8}{'spread':>16}{'wall p95':>10}{'kB':>8}  rows",
    ]
    for name, page in [*figures["pages"].items(), ("judgement", figures["judgement"])]:
        low, high = page["ratios"]
        size = figures["page_kb"].get(name)
        lines.append(
            f"{name:16}{page['cpu_ms']['large']:9.2f}{page['cpu_ms']['small']:10.2f}{page['ratio']:8.3f}"
            f"{f'{low:.2f} to {high:.2f}':>16}{page['wall_p95_ms']['large']:8.1f}ms{size if size else '':>8}"
            f"  {_rows_words(page)}"
        )
    seen = figures["visible_ms"]
    lines.append(f"from publishing to the queue: median {seen['median']} ms, p95 {seen['p95']} ms")
    return "\n".join([*lines, *(f"broken: {what}" for what in figures["broken"] or ["none"])])


def _rows_words(page: dict) -> str:
    if "rows" not in page:
        return ""
    return (
        str(page["rows"]["large"]) if _alike(page) else "{large}, small {small}: ratio not held".format(**page["rows"])
    )


def _spread(values: list[float]) -> dict[str, float]:
    middle, high, most = np.percentile(values, (50, 95, 100)).round(1).tolist()
    return {"median": middle, "p95": high, "max": most}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tankwatch"
