"""The catalogues of metrics -> the tables in docs/metrics.md, between their markers.

`./tankwatch docs` writes them, a test compares.
"""

from pathlib import Path

from cloud_sync import cloud_metrics
from edge_agent import exposition, panel_metrics

PAGE = Path(__file__).parent.parent / "docs" / "metrics.md"
TABLES = {
    "about": exposition.table(panel_metrics.ABOUT),
    "software": exposition.table(panel_metrics.SOFTWARE),
    "input": exposition.table(panel_metrics.INPUT),
    "output": exposition.table(panel_metrics.OUTPUT),
    "fleet": exposition.table(cloud_metrics.FLEET),
    "desk": exposition.table(cloud_metrics.DESK),
}


def written(page: str) -> str:
    """The page with its tables as the code has them now."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = before + begin + table + end + after
    return page


def write() -> None:
    """The page anew."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
