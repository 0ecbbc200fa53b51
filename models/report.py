"""Judged cases and their summary -> an evaluation's folder: report.html, which needs nothing beside it, summary.json,
report.txt and the pictures of the worst cases."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import msgspec

from edge_agent import durable, pictures
from models import drawings, report_words, worst
from models.bounds import CONFIDENCE
from models.judged import Bench, Judged
from models.report_words import rate
from models.worst import Shown

STYLE = Path(__file__).with_name("report.css")


def write(folder: Path, judged: Sequence[Judged], found: dict[str, Any], bench: Bench) -> None:
    """Raises StoreError."""
    durable.write(folder / "summary.json", msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    durable.write(folder / "report.txt", (report_words.words(found) + "\n").encode())
    shown = worst.draw(judged, bench, folder / "worst")
    durable.write(folder / "report.html", page(judged, found, shown).encode())


def page(judged: Sequence[Judged], found: dict[str, Any], shown: Sequence[Shown]) -> str:
    """The whole page."""
    body = [
        _head(found),
        _tiles(found),
        _section("What is shown", _shown_words(found)),
        _section("What was said of what", _confusion(found)),
        _section("Curves", drawings.figures(judged, found)),
        _section("The worst cases", _worst(shown)),
        _section("By slice", _slices(found)) if found["slices"] else "",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation of {escape(found['manifest']['name'])}</title>"
        f"<style>{STYLE.read_text()}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _head(found: dict[str, Any]) -> str:
    bundle, limits = found["bundle"], found["thresholds"]
    return (
        f"<header><h1>Evaluation of {escape(found['manifest']['name'])}</h1>"
        f"<p>{found['cases']} leaks and good units, {found['not_testable']['cases']} recordings that cannot be tested; "
        f"{report_words.made_up(found)}. "
        f"Bundle {bundle['version']} <code>{bundle['sha256'][:12]}</code>, ok below {limits['ok_below']:g}, leak above "
        f"{limits['leak_above']:g}. Manifest <code>{found['manifest']['sha256'][:12]}</code>, program "
        f"<code>{found['program'][:12]}</code>{_cases_hash(found)}, {escape(found['measured_at'])}.</p></header>"
    )


def _cases_hash(found: dict[str, Any]) -> str:
    kept = found["cases_sha256"]
    return f", cases <code>{kept[:12]}</code>" if kept else ""


def _tiles(found: dict[str, Any]) -> str:
    """The figures that matter, without the silent leaks, which nobody could see."""
    seen, bounds = found["without_silent"], found["without_silent"]["bounds"]
    low, high = seen["auc_interval"] or (None, None)
    tiles = [
        ("AUC", _number(seen["auc"], 5), "undefined: one label only" if low is None else f"{low:.5f} to {high:.5f}"),
        ("Coverage", _percent(seen["coverage"]), _bound("at least", bounds["coverage_lower"])),
        ("Miss rate", _percent(seen["miss_rate"]), _bound("at most", bounds["miss_rate_upper"])),
        ("False alarm rate", _percent(seen["false_alarm_rate"]), _bound("at most", bounds["false_alarm_rate_upper"])),
    ]
    inner = "".join(f"<div><h3>{name}</h3><b>{value}</b><p>{below}</p></div>" for name, value, below in tiles)
    apart = found["silent"]["cases"]
    note = f"Without {apart} silent leaks, which are counted apart. " if apart else ""
    note += f"Bounds are exact, one-sided, {CONFIDENCE:.0%}."
    return f'<section class="tiles">{inner}</section><p class="note">{note}</p>'


def _shown_words(found: dict[str, Any]) -> str:
    rows = [
        ("Certificate", report_words.certificate(found)),
        ("Calibration", report_words.calibration(found)),
        ("Leak's place", report_words.places(found)),
        ("Leak's size", report_words.sizes(found)),
    ]
    if found["required"] is not None:
        rows.append(("Leaks to be found", report_words.required(found)))
    if found["silent"]["cases"]:
        rows.append(
            ("Silent leaks", f"{found['silent']['cases']}: {report_words.counted(found['silent']['verdicts'])}")
        )
        every = rate(found, "miss_rate", "miss_rate_upper")
        rows.append(("With them", f"AUC {report_words.area(found)}, miss rate {every}"))
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in rows) + "</dl>"


def _confusion(found: dict[str, Any]) -> str:
    words = list(found["verdicts"])
    rows = []
    for truth, said in found["confusion"].items():
        cells = "".join(f'<td class="{_mark(truth, word) if said[word] else ""}">{said[word]}</td>' for word in words)
        rows.append(f"<tr><th>{truth}</th>{cells}<td>{sum(said.values())}</td></tr>")
    head = "".join(f"<th>{word}</th>" for word in words)
    return _table(f"<tr><th>truly</th>{head}<th>all</th></tr>", rows)


def _mark(truth: str, word: str) -> str:
    if word in ("uncertain", "not_tested"):
        return "right" if (truth, word) == ("not_testable", "not_tested") else "open"
    return "right" if word == ("leak" if truth == "silent" else truth) else "wrong"


def _slices(found: dict[str, Any]) -> str:
    told, few = report_words.told_slices(found)
    tables = "".join(_slice(key, values) for key, values in told.items())
    explained = (
        "Errors of answers, and the rate that they do not exceed at 95 %. Placed right: detected leaks within "
        f"{found['leak_places']['within_mm']:g} mm of a true origin."
    )
    if few:
        explained += f" Slices of fewer than {report_words.LEAST_CASES} cases ({few}) are in summary.json alone."
    return f'<p class="note">{explained}</p><div class="slices">{tables}</div>'


def _slice(key: str, values: dict[str, Any]) -> str:
    rows = []
    for value, one in values.items():
        counts, bounds = one["counts"], one["bounds"]
        missed = _of(counts["missed"], counts["leaks_answered"], bounds["miss_rate_upper"])
        alarms = _of(counts["false_alarms"], counts["good_answered"], bounds["false_alarm_rate_upper"])
        rows.append(
            f"<tr><th>{escape(value)}</th><td>{one['cases']}</td><td>{_percent(one['coverage'], 1)}</td>"
            f"<td>{missed}</td><td>{alarms}</td><td>{_placed(one['leak_places'])}</td></tr>"
        )
    columns = "".join(f"<th>{name}</th>" for name in ("cases", "coverage", "missed", "false alarms", "placed right"))
    head = f"<tr><th>{escape(key)}</th>{columns}</tr>"
    return _table(head, rows)


def _placed(near: dict[str, Any]) -> str:
    return f"{_percent(near['near'], 1)} of {near['cases']}" if near["cases"] else "-"


def _worst(shown: Sequence[Shown]) -> str:
    figures = []
    for one in shown:
        picture = f'<img alt="composite and heat map" src="{_inline(one.picture)}">' if one.picture else ""
        figures.append(
            f"<figure>{picture}<figcaption><b>{escape(one.caption)}</b><br>{escape(one.words)}<br>"
            f"<small>{escape(one.judged.labelled.name)}</small></figcaption></figure>"
        )
    if not figures:
        return "<p>None: every answer was right and sure.</p>"
    explained = (
        '<p class="note">Left the composite that showed most: what moved is coloured; a dark one is brightened. Right '
        "the heat map, from black (nothing) to yellow (a bubble for certain). A ring is where the unit truly leaks, a "
        "cross where the machine says that it does.</p>"
    )
    return f'{explained}<div class="worst">{"".join(figures)}</div>'


def _inline(path: Path) -> str:
    """A picture in the page itself; JPEG, since twenty PNGs are too much for one."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        return ""
    below = picture[worst.CAPTION_PX :]
    data = pictures.encoded(below, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{title}</h2>{inner}</section>"


def _table(head: str, rows: Sequence[str]) -> str:
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _of(events: int, trials: int, bound: float | None) -> str:
    return "-" if bound is None else f"{events} of {trials} <small>&le; {bound:.2%}</small>"


def _bound(words: str, value: float | None) -> str:
    return "no cases" if value is None else f"{words} {value:.2%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}%}"
