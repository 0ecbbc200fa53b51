"""Points -> inline SVG: axes, lines, dots and bars, coloured by the page, to suit its light and dark. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 340, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 44
Points = Iterable[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """`ticks`: from the axis' beginning to its end."""

    label: str
    ticks: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. `title` is read out to those who cannot see it."""

    title: str
    x: Axis
    y: Axis
    marks: list[str] = field(default_factory=list)

    def line(self, points: Points, kind: str = "line") -> None:
        """`kind`: a class of the page's style: `line` or `guide`."""
        way = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self.marks.append(f'<polyline class="{kind}" points="{way}"/>')

    def dot(self, x: float, y: float, *, radius: float = 4.0, words: str = "") -> None:
        """`words` show when it is pointed at."""
        title = f"<title>{escape(words)}</title>" if words else ""
        self.marks.append(
            f'<circle class="dot" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="{radius:.1f}">{title}</circle>'
        )

    def label(self, x: float, y: float, words: str) -> None:
        """Beside a dot, on the side where there is more room."""
        at, up = self._x(x), self._y(y)
        left = at > LEFT + _WIDE / 2
        place = f'x="{at + (-8 if left else 8):.1f}" y="{up + (14 if up < TOP + _HIGH / 2 else -8):.1f}"'
        self.marks.append(f'<text {place} text-anchor="{"end" if left else "start"}">{escape(words)}</text>')

    def bar(self, x: float, low: float, high: float) -> None:
        """An interval, upright."""
        at = f"{self._x(x):.1f}"
        self.marks.append(f'<line class="bar" x1="{at}" x2="{at}" y1="{self._y(low):.1f}" y2="{self._y(high):.1f}"/>')

    def svg(self) -> str:
        """The whole picture; what is beyond the axes is cut off at them."""
        inside = f'<rect x="{LEFT - 10}" y="{TOP - 10}" width="{_WIDE + 20}" height="{_HIGH + 20}"/>'
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f'<clipPath id="{self._id}">{inside}</clipPath>'
            f'{self._grid()}<g clip-path="url(#{self._id})">{"".join(self.marks)}</g></svg>'
        )

    @property
    def _id(self) -> str:
        return "clip-" + "".join(letter for letter in self.title.lower() if letter.isalpha())

    def _grid(self) -> str:
        parts = []
        for tick in self.x.ticks:
            at = f"{self._x(tick):.1f}"
            parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{TOP + _HIGH}"/>')
            parts.append(f'<text x="{at}" y="{TOP + _HIGH + 16}" text-anchor="middle">{tick:g}</text>')
        for tick in self.y.ticks:
            at = f"{self._y(tick):.1f}"
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + _WIDE}" y1="{at}" y2="{at}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{at}" dy="0.35em" text-anchor="end">{tick:g}</text>')
        middle = TOP + _HIGH / 2
        parts.append(
            f'<text x="{LEFT + _WIDE / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(self.x.label)}</text>'
            f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">{escape(self.y.label)}</text>'
        )
        return "".join(parts)

    def _x(self, value: float) -> float:
        return LEFT + _WIDE * _part(value, self.x.ticks)

    def _y(self, value: float) -> float:
        return TOP + _HIGH * (1 - _part(value, self.y.ticks))


def ticks_up_to(highest: float) -> tuple[float, ...]:
    """From 0 to a round number that is no less than `highest`, in four or five steps."""
    for power in range(-6, 6):
        for step in (1, 2, 5):
            size = step * 10.0**power
            if size * 5 >= highest:
                count = 5 if size * 4 < highest else 4
                return tuple(round(size * number, 9) for number in range(count + 1))
    return (0.0, highest)


_WIDE, _HIGH = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM


def _part(value: float, ticks: tuple[float, ...]) -> float:
    return (value - ticks[0]) / (ticks[-1] - ticks[0])
