"""Draws curves as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 320, 150, 24
# About as many points as pixels.
_MOST_POINTS = 600


@dataclass(frozen=True)
class Line:
    """One curve: its name, its colour, and the value at each epoch; None if it was not finite."""

    label: str
    colour: str
    points: Sequence[tuple[int, float | None]]

    @property
    def finite(self) -> list[tuple[int, float]]:
        """The points that have a value: a maximum of _MOST_POINTS, including the last one."""
        points = [(epoch, value) for epoch, value in self.points if value is not None and math.isfinite(value)]
        step = -(-len(points) // _MOST_POINTS) or 1
        return points[::-step][::-1]


def chart(title: str, lines: Sequence[Line], mark: int | None = None) -> str:
    """A chart with a title, an axis of epochs, and a vertical line at the epoch `mark`."""
    points = [point for line in lines for point in line.finite]
    if not points:
        return ""
    first, last = min(epoch for epoch, _ in points), max(epoch for epoch, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    scale = _Scale(first, last, low, high)
    drawn = "".join(_polyline(line, scale) for line in lines)
    if mark is not None and first <= mark <= last:
        x = scale.x(mark)
        drawn += f'<line x1="{x}" x2="{x}" y1="18" y2="{_HEIGHT - _MARGIN}" stroke="#1a7f37" stroke-dasharray="3 3"/>'
    words = "; ".join(f"{line.label} {line.finite[-1][1]:.4g}" for line in lines if line.finite)
    labels = f"{_text(0, 12, title)}{_text(0, _HEIGHT - 6, f'epoch {first} to {last}, {low:.4g} to {high:.4g}')}"
    return (
        f'<svg role="img" aria-label="{escape(f"{title}: {words}")}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}">{labels}{drawn}</svg>'
    )


@dataclass(frozen=True)
class _Scale:
    first: int
    last: int
    low: float
    high: float

    def x(self, epoch: int) -> float:
        return round(2 + (_WIDTH - 4) * (epoch - self.first) / max(self.last - self.first, 1), 1)

    def y(self, value: float) -> float:
        part = (value - self.low) / ((self.high - self.low) or 1)
        return round(_HEIGHT - _MARGIN - (_HEIGHT - _MARGIN - 22) * part, 1)


def _polyline(line: Line, scale: _Scale) -> str:
    places = " ".join(f"{scale.x(epoch)},{scale.y(value)}" for epoch, value in line.finite)
    title = f"<title>{escape(line.label)}</title>"
    return f'<polyline points="{places}" fill="none" stroke="{line.colour}" stroke-width="1.5">{title}</polyline>'


def _text(x: int, y: int, words: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="11" fill="#656d76">{escape(words)}</text>'
