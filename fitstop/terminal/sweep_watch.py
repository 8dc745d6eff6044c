"""Watches a sweep: in a terminal with a live view, on a pipe with one line for each trial that has ended."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fitstop.client import TERMINAL, Client, Json
from fitstop.errors import ApiError, Unreachable
from fitstop.terminal.follow import LOST_SECONDS
from fitstop.terminal.output import clock, console, duration, literal, number
from fitstop.terminal.sweep_view import (
    UNFINISHED,
    best_words,
    count_words,
    parameter_words,
    short_names,
    spent_words,
    status_words,
    sweep_picture,
    trial_state,
)
from fitstop.terminal.watch import catch_interrupts, until

LOOK_SECONDS = 1.0
# The number of past trials to show when attaching to a running sweep.
_LAST_TRIALS = 12


@dataclass(frozen=True)
class SweepMoment:
    """The result of one poll. `ended`: trials that ended since the last poll. `trouble`: why there was no answer."""

    sweep: Json
    ended: list[Json] = field(default_factory=list)
    unfinished: list[Json] = field(default_factory=list)
    trouble: str | None = None


def follow_sweep(client: Client, sweep_id: str, *, timeout: float | None = None) -> Iterator[SweepMoment]:
    """Poll until the sweep has ended. Without an answer it tries again and raises as `follow` does for a job."""
    trials = _Trials(client, sweep_id)
    sweep: Json | None = None
    lost_since: float | None = None
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            # The sweep is read before its trials, so that all trials of an ended sweep have ended.
            seen = client.sweep(sweep_id)
            ended = trials.look(seen["counts"]["total"])
        except (Unreachable, ApiError) as error:
            lost_since = lost_since or time.monotonic()
            if sweep is None or time.monotonic() - lost_since > LOST_SECONDS:
                raise
            yield SweepMoment(sweep, trouble=str(error))
        else:
            sweep, lost_since = seen, None
            yield SweepMoment(sweep, ended, trials.unfinished)
            if sweep["status"] in TERMINAL:
                return
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"the sweep {sweep_id} has not finished after {timeout:g} seconds; it continues")
        time.sleep(LOOK_SECONDS)


class _Trials:
    """The trials of one sweep. A finished trial is read once, since it does not change; the others at each poll."""

    def __init__(self, client: Client, sweep_id: str) -> None:
        self.client, self.sweep_id = client, sweep_id
        self.unfinished: list[Json] = []
        self._count = self._newest = 0

    def look(self, total: int) -> list[Json]:
        """Read what may have changed; return the trials that ended since the last call. `total`: number of trials."""
        running = [one["number"] for one in self.unfinished]
        seen = self.client.trials(self.sweep_id, numbers=running)["data"] if running else []
        new = list(self.client.all_trials(self.sweep_id, self._newest)) if total > self._count else []
        self._count += len(new)
        self._newest = max((one["number"] for one in new), default=self._newest)
        self.unfinished = [one for one in (*seen, *new) if one["status"] in UNFINISHED]
        ended = [one for one in (*seen, *new) if one["status"] not in UNFINISHED]
        return sorted(ended, key=lambda one: str(one["finished_at"]))


def watch_sweep(client: Client, sweep_id: str, timeout: float | None = None, *, err: bool = False) -> Json:
    """Show a sweep until it has ended, and return it. KeyboardInterrupt passes through; the sweep continues.

    With `err` it is shown on stderr. Raises TimeoutError if it has not ended after `timeout` seconds.
    """
    screen = console(err=err)
    with catch_interrupts() as interrupted:
        moments = until(interrupted, follow_sweep(client, sweep_id, timeout=timeout))
        return _watch_live(screen, moments) if screen.is_terminal else _watch_lines(screen, moments)


def print_sweep_ending(sweep: Json, *, err: bool = False) -> None:
    """Print how a sweep ended, and which trial is the best."""
    screen = console(err=err)
    screen.print(Text.assemble("sweep ", status_words(sweep), f": {count_words(sweep)}; {spent_words(sweep)}"))
    screen.print(Text.assemble("best: ", best_words(sweep)))


def _watch_live(screen: Console, moments: Iterator[SweepMoment]) -> Json:
    changes = _Changes()
    sweep: Json = {}
    with Live(console=screen, refresh_per_second=4, transient=True) as live:
        for moment in moments:
            is_first, sweep = not sweep, moment.sweep
            lines = changes.lines(moment)
            if is_first and len(lines) > _LAST_TRIALS:
                live.console.print(Text(f"… {len(lines) - _LAST_TRIALS} trials before these", "dim"))
                lines = lines[-_LAST_TRIALS:]
            for line in lines:
                live.console.print(line)
            live.update(sweep_picture(sweep, moment.unfinished, moment.trouble))
    return sweep


def _watch_lines(screen: Console, moments: Iterator[SweepMoment]) -> Json:
    changes = _Changes()
    sweep: Json = {}
    for moment in moments:
        sweep = moment.sweep
        for line in changes.lines(moment):
            screen.print(line, soft_wrap=True)
    return sweep


class _Changes:
    """Describes what is new: trials that have ended, whether one is the best so far, a lost connection."""

    def __init__(self) -> None:
        self._best: float | None = None
        self._trouble: str | None = None

    def lines(self, moment: SweepMoment) -> list[Text]:
        """The lines of one moment."""
        names = short_names(moment.sweep["spec"]["space"])
        lines = [self._line(trial, moment.sweep, names) for trial in moment.ended]
        if moment.trouble and not self._trouble:
            lines.append(literal(f"{moment.trouble}; trying again", "yellow"))
        if self._trouble and not moment.trouble:
            lines.append(Text("connected again", "green"))
        self._trouble = moment.trouble
        return lines

    def _line(self, trial: Json, sweep: Json, names: dict[str, str]) -> Text:
        is_best = self._note(trial["value"], sweep["objective"]["mode"])
        value = Text(f"{sweep['objective']['monitor']} {number(trial['value'])}", "bold green" if is_best else "")
        return Text.assemble(
            (clock(trial["finished_at"]), "dim"),
            f"  trial {trial['number']} ",
            trial_state(trial),
            f" at epoch {trial['epoch']} after {duration(trial['gpu_seconds'])}: ",
            value,
            " (best so far)  " if is_best else "  ",
            parameter_words(trial["parameters"], names),
        )

    def _note(self, value: float | None, mode: str) -> bool:
        """Whether this value is better than all before it."""
        if value is None or (
            self._best is not None and not (value > self._best if mode == "max" else value < self._best)
        ):
            return False
        self._best = value
        return True
