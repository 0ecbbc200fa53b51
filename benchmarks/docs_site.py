"""`docs`: docs/ -> a site of plain files, with its reference made anew from the code."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import metrics_page, reference
from edge_agent.errors import ConfigError

CONFIG = Path(__file__).with_name("mkdocs.yml")
OUT = reference.ROOT / "build" / "site"


def docs(argv: list[str]) -> int:
    """`tankwatch docs`. Raises ConfigError where a page has a fault."""
    parser = argparse.ArgumentParser("tankwatch docs", description="The documents as a site of plain files.")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="default: build/site")
    parser.add_argument("--serve", action="store_true", help="shows it at http://127.0.0.1:8000, as it is written")
    options = parser.parse_args(argv)
    reference.write()
    metrics_page.write()
    build = ["serve"] if options.serve else ["build", "--strict", "--site-dir", str(options.out.absolute())]
    # The theme advertises its successor otherwise.
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([sys.executable, "-m", "mkdocs", *build, "--config-file", str(CONFIG)], env=quiet)
    if done.returncode:
        raise ConfigError("the documents have faults: mend what is named above")
    if not options.serve:
        print(f"{options.out / 'index.html'}: open it in a browser, or put the folder on any web server")
    return 0
