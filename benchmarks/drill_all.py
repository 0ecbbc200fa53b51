"""`drill all`: every drill after the other, each in a process of its own; a ledger a line.

What one drill leaves behind, or takes of memory, is none of the next one's.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

FRONT_DOOR = Path(__file__).resolve().parent.parent / "tankwatch.py"


def run(argv: list[str], names: Iterable[str]) -> int:
    """`tankwatch drill all`; 1 where any of them was not good."""
    parser = argparse.ArgumentParser("tankwatch drill all", description="Every drill after the other.")
    parser.add_argument("--full", action="store_true", help="each in its full form: hours")
    parser.add_argument("--seed", type=int, help="for all of them; default: each one's own")
    parser.add_argument("--only", metavar="NAME,...", help="these alone")
    parser.add_argument("--json", action="store_true", help="the ledgers, a JSON object a line, and nothing else")
    options = parser.parse_args(argv)
    chosen = options.only.split(",") if options.only else list(names)
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"--only: there is no drill {', '.join(unknown)}")
    form = (["--full"] if options.full else []) + ([] if options.seed is None else ["--seed", str(options.seed)])
    bad = [name for name in chosen if not _is_good(name, form, as_json=options.json)]
    print(f"{len(chosen)} drills, not good: {', '.join(bad) or 'none'}", file=sys.stderr)
    return 1 if bad else 0


def _is_good(name: str, form: list[str], *, as_json: bool) -> bool:
    began_s = time.monotonic()
    command = [sys.executable, str(FRONT_DOOR), "drill", name, "--json", *form]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None if not as_json else subprocess.DEVNULL)
    seconds, lines = round(time.monotonic() - began_s, 1), done.stdout.decode(errors="replace").splitlines()
    said = json.loads(lines[-1]) if lines else {"drill": name, "failed": f"it said nothing; status {done.returncode}"}
    good = done.returncode == 0 and bool(lines)
    if as_json:
        print(json.dumps(said | {"good": good, "took_s": seconds}), flush=True)
    else:
        print(f"{'good' if good else 'NOT GOOD':9} {name:10} {seconds:7.1f} s  {json.dumps(said)}", flush=True)
    return good
