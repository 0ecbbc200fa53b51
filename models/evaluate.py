"""`evaluate`: labelled recordings -> how often the machine answers, how often it is wrong, and what is shown of that.

Judging is in `judged`, counting in `rates`, the page in `report`; here they are joined.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tqdm import tqdm

from edge_agent.bundle import open_bundle
from edge_agent.errors import ConfigError
from edge_agent.inspection import Opener, shipped_bundle
from models import evaluated, forked, rates, report, report_words
from models.judged import Bench, Judged, judge_all, line
from models.labelled import Manifest, read_manifest


def evaluate(argv: list[str], openers: Mapping[str, Opener] | None = None) -> int:
    """`tankwatch evaluate MANIFEST`. `openers`: further kinds of sources, as `open_camera` takes them."""
    options = _arguments().parse_args(argv)
    if options.minutes is not None and not options.out:
        raise ConfigError("--minutes needs --out DIR: what is judged until then is kept there")
    manifest = read_manifest(options.manifest, [mark for mark in openers or () if not mark.startswith(".")])
    bench = Bench(open_bundle(options.bundle or shipped_bundle()), openers)
    judged = []
    for one in _each(options, manifest, bench):
        judged.append(one)
        for note in one.notes:
            tqdm.write(f"{one.labelled.name}: {note}", file=sys.stderr)
        if options.json:
            print(msgspec.json.encode(line(one)).decode(), flush=True)
    if len(judged) < len(manifest.lines):
        done = f"{len(judged)} of {len(manifest.lines)} cases are judged and kept in {options.out}"
        print(f"{done}: the same call goes on with the next", file=sys.stderr)
        return 1
    now, sha256 = datetime.now(UTC), None
    if options.out:
        kept = evaluated.reported(options.out, now)
        now, sha256 = kept.measured_at, kept.cases_sha256
    found = rates.summary(judged, bench.bundle, manifest, now, cases_sha256=sha256)
    print(msgspec.json.encode(found).decode() if options.json else report_words.words(found))
    if options.out:
        report.write(options.out, judged, found, bench)
        print(f"written to {options.out}: report.html", file=sys.stderr)
    return 0


def _each(options: argparse.Namespace, manifest: Manifest, bench: Bench) -> Iterator[Judged]:
    """All cases in order: those that `--out` holds already, then the others, up to the time that was given."""
    until_s = float("inf") if options.minutes is None else time.monotonic() + 60 * options.minutes
    before: list[Judged] = []
    if options.out:
        evaluated.claim(options.out, manifest, bench.bundle)
        before = evaluated.judged_before(options.out, manifest)
    yield from before
    rest = judge_all(manifest.lines[len(before) :], bench, options.jobs)
    for one in tqdm(rest, total=len(manifest.lines), initial=len(before), unit="case", disable=None):
        if options.out:
            evaluated.keep(options.out, one)
        yield one
        if time.monotonic() >= until_s:
            return


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes: write one above 0")
    return value


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch evaluate", description="Inspects labelled recordings and reports.")
    parser.add_argument("manifest", type=Path, help="JSON lines with video and label")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="keep the cases there as they are judged, and write report.html"
    )
    parser.add_argument("--json", action="store_true", help="the cases and last the summary as JSON lines")
    parser.add_argument("--jobs", type=forked.processes, default=2, help="processes (default 2)")
    parser.add_argument(
        "--minutes", type=_minutes, metavar="M", help="stop after so long; the same call goes on where it stopped"
    )
    return parser
