"""The documents: the reference says what the code says, and the site builds without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from in_full import in_full

from benchmarks import docs_site, reference

TOKENS = re.compile(r"--[a-z][a-z-]+|`[a-z_.\[\]]+`|^#+ .*$", re.M)


ASKS_ALL = in_full("commands.md")
"""Imports every command there is."""


@pytest.mark.parametrize("name", [ASKS_ALL, *(name for name in reference.MADE if name != "commands.md")])
def test_the_reference_names_what_the_code_knows_and_nothing_else(name: str) -> None:
    """Python versions wrap and word a --help differently: names count, line breaks do not."""
    kept, made = (reference.PAGES / name).read_text(), reference.MADE[name]()
    assert set(TOKENS.findall(kept)) == set(TOKENS.findall(made)), "run ./tankwatch docs and commit what it wrote"
    assert len(TOKENS.findall(made)) > 20


def test_every_page_is_in_the_sites_contents() -> None:
    contents = docs_site.CONFIG.read_text()
    pages = [path.relative_to(reference.ROOT / "docs") for path in (reference.ROOT / "docs").rglob("*.md")]
    listed = {line.split()[-1] for line in contents.splitlines() if line.strip().startswith("- ")}
    assert [str(page) for page in pages if page.parts[0] != "decisions" and str(page) not in listed] == []


@pytest.mark.full
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "tankwatch.py", "docs", "--out", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=reference.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "site" / "index.html").read_text()
    assert "guides/inspector.html" in home
    assert not re.search(r'(src|href)="https?://(?!squidfunk|www\.mkdocs)', home), "nothing comes from elsewhere"
