"""Draws curves as text for a terminal (plotext) or as a picture (matplotlib), from the extra `fitstop[plot]`.

Each library is imported only to draw, so everything else works without them.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitstop.terminal.output import plain

# Okabe and Ito's colours, which people with colour blindness can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINE = "▄"
_MARKS = ("*", "o", "x", "+", "#", "@", "%", "=")
_DASHES = ("-", "--", ":", "-.")
_ASCII = str.maketrans("┌┐└┘─│┤├┬┴┼", "++++-|||+++")
PICTURES = (".png", ".svg")


class NoCharts(Exception):
    """The libraries that draw are not installed."""


@dataclass(frozen=True)
class Curve:
    """One metric of one job: a value for each epoch (from 1), None if it was not finite.

    `best_epoch`: the epoch of the best model, if the metric is the monitor of ModelCheckpoint. It is marked.
    """

    label: str
    epochs: Sequence[int]
    values: Sequence[float | None]
    best_epoch: int | None = None

    @property
    def finite(self) -> tuple[list[int], list[float]]:
        """The epochs that have a value, and the values."""
        pairs = [(epoch, value) for epoch, value in zip(self.epochs, self.values, strict=True) if value is not None]
        return [epoch for epoch, _ in pairs], [value for _, value in pairs]


@dataclass(frozen=True)
class Canvas:
    """The size of a text chart, in characters, and whether the terminal has colours and UTF-8."""

    width: int
    height: int
    colour: bool
    utf8: bool


def text_chart(title: str, curves: Sequence[Curve], canvas: Canvas) -> str:
    """A chart of the curves in characters, each with its own mark. Raises NoCharts."""
    try:
        from plotext import figure
    except ImportError as error:
        raise NoCharts("plotext") from error
    figure.clear()
    figure.plot_size(canvas.width, canvas.height)
    figure.theme("simple" if canvas.colour else "colorless")
    figure.title(plain(title))
    for curve, mark in zip(curves, marks(len(curves), utf8=canvas.utf8), strict=True):
        epochs, values = curve.finite
        if epochs:
            figure.draw(figure.signal(epochs, values, marker="hd" if mark == _LINE else mark).lines())
    _whole_epochs(figure, curves)
    drawn = str(figure.build().string(colorless=not canvas.colour))
    figure.clear()
    return drawn if canvas.utf8 else drawn.translate(_ASCII)


def marks(count: int, *, utf8: bool) -> list[str]:
    """A mark for each curve, so that curves differ without colours."""
    mine = [_LINE, *_MARKS] if utf8 else _MARKS
    return [mine[index % len(mine)] for index in range(count)]


def save_picture(panels: Sequence[tuple[str, Sequence[Curve]]], path: Path) -> None:
    """Save panels, each with a title and curves, one below the other in a PNG or SVG file. Raises NoCharts."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoCharts("matplotlib") from error
    figure = Figure(figsize=(8, 3.2 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (title, curves) in zip(axes, panels, strict=True):
        _draw_panel(axis, title, curves)
    axes[-1].set_xlabel("epoch")
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, without a warning.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, format=path.suffix[1:], dpi=150)


def caption(curve: Curve) -> str:
    """The curve in words, for screen readers."""
    epochs, values = curve.finite
    if not epochs:
        return f"{curve.label}: no finite value"
    best = ""
    if curve.best_epoch in epochs:
        best = f"best model {values[epochs.index(curve.best_epoch)]:.4g} at epoch {curve.best_epoch}, "
    return f"{curve.label}: {best}last {values[-1]:.4g} at epoch {epochs[-1]}"


def _draw_panel(axis: Any, title: str, curves: Sequence[Curve]) -> None:
    axis.set_title(plain(title), loc="left", fontsize=10, parse_math=False)
    for index, curve in enumerate(curves):
        epochs, values = curve.finite
        colour, dash = _COLOURS[index % len(_COLOURS)], _DASHES[index // len(_COLOURS) % len(_DASHES)]
        axis.plot(epochs, values, dash, color=colour, linewidth=1.5, label=f" {plain(caption(curve))}")
        if curve.best_epoch in epochs:
            axis.plot([curve.best_epoch], [values[epochs.index(curve.best_epoch)]], "o", color=colour, markersize=6)
    for text in axis.legend(fontsize=8, frameon=False).get_texts():
        text.set_parse_math(False)
    axis.grid(visible=True, alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(y=0.12)


def _whole_epochs(figure: Any, curves: Sequence[Curve]) -> None:
    last = max((epoch for curve in curves for epoch in curve.epochs), default=1)
    step = max(1, -(-last // 8))
    ticks = [1, *range(step, last + 1, step)] if step > 1 else list(range(1, last + 1))
    figure.ruler("x").ticks(ticks, [str(tick) for tick in ticks])
