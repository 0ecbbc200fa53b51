"""A finished attribute study -> a printable report on A4: plan, verdicts with their bounds by parts, agreement."""

import io
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from cloud_sync.agreement_pages import figure, share
from cloud_sync.study import LIMITS, Appraisal, Share
from cloud_sync.study_records import Held, Results

MARGIN_MM = 18
_STYLES = getSampleStyleSheet()
_TEXT = ParagraphStyle("text", parent=_STYLES["BodyText"], fontSize=9, leading=12)
_CELL = ParagraphStyle("cell", parent=_TEXT, fontSize=8, leading=10)
_LINES = TableStyle(
    [
        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
)
NESTED = (
    "Looks at one part are alike, so the bounds count parts, not looks: a part missed in one of its trials is a missed "
    "part. “Proved” is the verdict if every figure were as bad as its bound (one-sided, 95 %, Clopper-Pearson, each by "
    "itself)."
)


def pdf(held: Held, results: Results, *, printed_at: float) -> bytes:
    """The report's bytes."""
    out = io.BytesIO()
    margin = MARGIN_MM * mm
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=margin, rightMargin=margin, topMargin=margin, bottomMargin=margin
    )
    document.title = f"Attribute study {held.id}: {held.plan.name}"
    document.build(_story(held, results, printed_at))
    return out.getvalue()


def _story(held: Held, results: Results, printed_at: float) -> list:
    return [
        Paragraph(f"Attribute agreement study: {escape(held.plan.name)}", _STYLES["Title"]),
        Paragraph(_about(held, results, printed_at), _TEXT),
        Paragraph("Appraisers against the reference", _STYLES["Heading2"]),
        _table(_appraisals(results.appraisals), [26, 31, 31, 31, 28, 27]),
        Spacer(1, 3 * mm),
        Paragraph(_limits(), _TEXT),
        Paragraph(NESTED, _TEXT),
        Paragraph("Repeatability and agreement with the reference", _STYLES["Heading2"]),
        _table(_repeatability(results.appraisals), [44, 65, 65]),
        Paragraph("Between appraisers", _STYLES["Heading2"]),
        _table(_pairs(results), [44, 65, 65]),
        Spacer(1, 12 * mm),
        Paragraph("Date, name, signature: ____________________________________________________", _TEXT),
    ]


def _about(held: Held, results: Results, printed_at: float) -> str:
    plan = held.plan
    return (
        f"Study {held.id}, planned {_moment(held.made_at)} by {escape(held.made_by)}, printed {_moment(printed_at)}. "
        f"{results.parts} parts ({results.leaking} leaking, {results.borderline} borderline), {plan.trials} trials, "
        f"{len(plan.appraisers)} appraisers, blind, each in an order of their own (seed {plan.seed}). The reference is "
        "what two experts agreed on, a third decided, or was known before. The machine is an appraiser who looks once. "
        "After AIAG, Measurement Systems Analysis, 4th edition."
    )


def _appraisals(appraisals: list[Appraisal]) -> list[list[str]]:
    head = ["Appraiser", "Effectiveness", "Miss rate", "False alarm rate", "Verdict", "Proved"]
    rows = [
        [
            one.appraiser,
            _share(one.effectiveness, "at least"),
            _share(one.miss, "at most"),
            _share(one.false_alarm, "at most"),
            one.verdict,
            one.proved,
        ]
        for one in appraisals
    ]
    return [head, *rows]


def _repeatability(appraisals: list[Appraisal]) -> list[list[str]]:
    head = ["Appraiser", "Parts judged alike each time", "Kappa with the reference"]
    return [head, *([one.appraiser, _alike(one.repeatability), figure(one.kappa)] for one in appraisals)]


def _pairs(results: Results) -> list[list[str]]:
    head = ["Appraisers", "Parts judged alike", "Kappa"]
    return [head, *([f"{one.first}, {one.second}", _alike(one.alike), figure(one.kappa)] for one in results.pairs)]


def _alike(found) -> str:
    if found.value is None or found.low is None:
        return "one look only" if found.cases else "none"
    return f"{share(found.value)} of {found.cases} ({share(found.low)} to {share(found.high)})"


def _share(found: Share, words: str) -> str:
    if found.value is None or found.bound is None:
        return "no part of this kind"
    by_parts = f"by parts {words} {share(found.bound)} ({found.parts} parts)"
    return f"{share(found.value)} ({found.events} of {found.of}); {by_parts}"


def _limits() -> str:
    lines = [
        f"{word}: effectiveness at least {share(least)}, misses at most {share(missed)}, "
        f"false alarms at most {share(alarms)}"
        for word, least, missed, alarms in LIMITS
    ]
    return "Limits (AIAG). " + "; ".join(lines) + "; otherwise unacceptable."


def _table(rows: list[list[str]], widths_mm: list[int]) -> Table:
    cells = [[Paragraph(escape(cell), _CELL) for cell in row] for row in rows]
    return Table(cells, colWidths=[width * mm for width in widths_mm], style=_LINES, repeatRows=1)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
