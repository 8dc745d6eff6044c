"""`python -m bench.article DATA`: see the package's docstring."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.article.epochs import Options, measured, median_of
from bench.article.figures import Part, draw
from bench.article.service import agreement, restart, ring, row, shapes, start, warm_fitstop

# Title, rows, layers, batch size, epochs measured in each round, rounds.
SIZES: list[tuple[str, int, list[int], int, int, int]] = [
    ("5,170 rows, 64-64-64 (the article's)", 5170, [64, 64, 64], 32, 20, 3),
    ("5,170 rows, 256-256-256", 5170, [256, 256, 256], 32, 8, 2),
    ("5,170 rows, 1024-1024", 5170, [1024, 1024], 32, 3, 1),
    ("100,000 rows, 64-64-64", 100_000, [64, 64, 64], 256, 5, 2),
    ("100,000 rows, 256-256-256", 100_000, [256, 256, 256], 256, 3, 1),
    ("100,000 rows, 1024-1024", 100_000, [1024, 1024], 256, 1, 1),
    ("2,000,000 rows, 16-16", 2_000_000, [16, 16], 4096, 3, 1),
    ("2,000,000 rows, 64-64-64", 2_000_000, [64, 64, 64], 4096, 3, 1),
    ("2,000,000 rows, 256-256-256", 2_000_000, [256, 256, 256], 4096, 1, 1),
]
LARGE = Options("fitstop", 2560, [3500, 3500, 3500], 256, epochs=16, first=1, checkpoints=False, is_paired=True)
PARTS = ("start", "agree", "ring", "row", "shapes", "restart", "epoch", "large")


def main() -> int:
    asked = _parser().parse_args()
    chosen = asked.only.split(",") if asked.only else PARTS
    cores = len(os.sched_getaffinity(0))
    sys.stdout.write(
        f"{platform.processor() or platform.machine()}, {cores} cores, Python {platform.python_version()}\n"
    )
    parts: list[Part] = []

    def done(part: Part) -> None:
        parts.append(part)
        sys.stdout.write(part.table())
        sys.stdout.flush()

    _posted(asked.data, chosen, asked.seeds, done)
    if "restart" in chosen:
        done(restart(asked.data, asked.seeds))
    if "epoch" in chosen:
        for size in (SIZES[number - 1] for number in asked.sizes or range(1, len(SIZES) + 1)):
            done(epoch(*size))
    if "large" in chosen:
        done(large())
    if asked.json:
        asked.json.write_text(json.dumps([part.document() for part in parts], indent=1) + "\n")
    if asked.svg:
        draw(parts, asked.svg)
    return 0


def _posted(data: Path, chosen: Sequence[str], seeds: int, done: Callable[[Part], None]) -> None:
    if not {"start", "agree", "ring", "row", "shapes"} & set(chosen):
        return
    with warm_fitstop(data) as client:
        if "start" in chosen:
            done(start(client, data, seeds))
        if "agree" in chosen:
            done(agreement(client, seeds=10))
        if "ring" in chosen:
            done(ring(client, times=10))
        if "row" in chosen:
            done(row(client, jobs=10))
        if "shapes" in chosen:
            done(shapes(client, data, jobs=10))


def epoch(title: str, rows: int, layers: list[int], batch_size: int, epochs: int, rounds: int) -> Part:
    """(b) An epoch in each of the ways, in turn."""
    part = Part(f"(b) an epoch of {title}, batches of {batch_size}")
    found: dict[str, list[dict[str, list[float]]]] = {"stock": [], "execution": [], "fitstop": []}
    for _ in range(rounds):
        for way, measurements in found.items():
            measurements.append(measured(Options(way, rows, layers, batch_size, epochs)))
    stock = part.add("stock fit", median_of(found["stock"], "epochs"))
    execution = part.add("fit with steps_per_execution", median_of(found["execution"], "epochs"))
    ours = part.add("Fitstop inside fit, all callbacks", median_of(found["fitstop"], "epochs"))
    bare = part.add("the bare compiled loop", median_of(found["fitstop"], "bare"))
    part.ratios["times faster than stock fit"] = stock.median / ours.median
    part.ratios["times faster than the best stock setting"] = min(stock.median, execution.median) / ours.median
    part.ratios["times the bare loop"] = ours.median / bare.median
    return part


def large() -> Part:
    """(e) Fitstop's share of a long step: each epoch against a bare one directly after it, and what a save adds."""
    part = Part("(e) 24.6 million parameters, a resume point of 295 MB")
    without = measured(LARGE)
    saving = measured(replace(LARGE, epochs=4, saves=True, is_paired=False))
    bare = part.add("the bare compiled loop", without["bare"])
    ours = part.add("Fitstop, no resume point in these epochs", without["epochs"])
    saved = part.add("Fitstop, a resume point in each epoch", saving["epochs"])
    shares = [mine / floor - 1 for mine, floor in zip(without["epochs"], without["bare"], strict=True)]
    part.add("Fitstop's share of an epoch without a save (0.02 wanted)", shares, "")
    part.ratios["times the bare loop, without a save"] = ours.median / bare.median
    part.ratios["seconds that a save in each epoch adds"] = saved.median - ours.median
    return part


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.article", description=__doc__)
    parser.add_argument("data", type=Path, help="winequalityN.csv")
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--seeds", type=int, default=5, help="pairs of (a) and (e)")
    parser.add_argument("--sizes", type=int, nargs="+", metavar="NUMBER", help="(b) of these sizes alone, from 1")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
