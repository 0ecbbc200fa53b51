"""What `check` asks of the supply chain: packages by hash and licence; a bill of each set."""

import argparse
import sys
from pathlib import Path

from edge_agent import sbom

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str]) -> int:
    """`python -m benchmarks.supply [--out DIR]`: 1 where a lock file is not good; DIR gets the bills."""
    parser = argparse.ArgumentParser("python -m benchmarks.supply", description="Lock files and bills of materials.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write a bill (CycloneDX) of each set there")
    options = parser.parse_args(argv)
    if wrong := sbom.faults(ROOT):
        print("\n".join(wrong), file=sys.stderr)
        return 1
    bills = {of: sbom.sbom(ROOT, of) for of in sbom.SETS}
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for of, bill in bills.items():
            (options.out / f"tankwatch-{of}.cdx.json").write_bytes(bill)
    counts = ", ".join(f"{of} {len(sbom.entries(ROOT, of))}" for of in bills)
    print(f"packages by hash and licence: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
