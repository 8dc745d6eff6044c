"""What a benchmark has measured: named figures with their spread, and the ratios between them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One thing measured several times, all in `unit`."""

    name: str
    values: tuple[float, ...]
    unit: str = "s"

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        spread = f"{min(self.values):.4g} to {max(self.values):.4g}"
        return f"{self.name:58s} {self.median:10.4g} {self.unit:6s} {spread:>22s}  ({len(self.values)} times)"


@dataclass
class Part:
    """One benchmark: its figures, and the ratios that it measures, whose names may contain a target."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, values: Sequence[float], unit: str = "s") -> Figure:
        figure = Figure(name, tuple(values), unit)
        self.figures.append(figure)
        return figure

    def table(self) -> str:
        lines = [f"\n{self.title}", *(f"  {figure}" for figure in self.figures)]
        lines += [f"  {name:58s} {value:10.3g}" for name, value in self.ratios.items()]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)]) + "\n"

    def document(self) -> dict[str, Any]:
        figures = [
            {"name": one.name, "unit": one.unit, "median": one.median, "values": list(one.values)}
            for one in self.figures
        ]
        return {"title": self.title, "figures": figures, "ratios": self.ratios, "notes": self.notes}


def draw(parts: Sequence[Part], path: Path) -> None:
    """Draw the medians of all figures as bars, one picture for each part, on a logarithmic axis."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = [part for part in parts if part.figures]
    heights = [0.32 * len(part.figures) + 0.9 for part in shown]
    picture, axes = pyplot.subplots(
        len(shown), 1, figsize=(9, sum(heights)), squeeze=False, height_ratios=heights, layout="constrained"
    )
    for axis, part in zip(axes[:, 0], shown, strict=True):
        names = [f"{one.name} [{one.unit}]" for one in part.figures]
        medians = [one.median for one in part.figures]
        bars = axis.barh(names, medians, color=["#4477aa" if "Fitstop" in name else "#bbbbbb" for name in names])
        axis.bar_label(bars, [f" {median:.3g}" for median in medians], fontsize=8)
        axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.invert_yaxis()
        axis.set_title(part.title, fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    picture.savefig(path)
