"""Why a sweep runs or ended, in sentences for people."""

from shared.sweep.state import SweepStateOf
from shared.sweep.trial import TrialFacts


def explain(state: SweepStateOf[TrialFacts], waiting: str | None = None) -> list[str]:
    """What a sweep does now or why it has ended, its best trial, and what its rule has saved.

    `waiting` is why its next trial waits.
    """
    waits = [f"The next trial waits: {waiting}."] if waiting else []
    return [_state_words(state), *waits, *_best_words(state), *_rule_words(state), *_failure_words(state)]


def _state_words(state: SweepStateOf[TrialFacts]) -> str:
    if state.end is not None:
        return f"The sweep has ended: {state.end.message}."
    ended = sum(trial.is_finished for trial in state.trials)
    so_far = f"{ended} of {state.most_trials} trials have ended"
    if state.cancel is not None:
        return f"The sweep was cancelled; {len(state.unfinished)} trials are saving their state. {so_far}."
    if not state.trials:
        return "The sweep has no trial yet: a worker proposes them."
    running = sum(trial.status == "running" for trial in state.trials)
    waiting = len(state.unfinished) - running
    return f"The sweep runs: {so_far}, {running} train, and {waiting} wait for a free slot."


def _best_words(state: SweepStateOf[TrialFacts]) -> list[str]:
    best, monitor = state.best, state.record.spec.objective.monitor
    if best is None:
        return [f"No trial has a value of {monitor} yet."] if state.trials else []
    at = f"trial {best.number}, at epoch {best.best_epoch(state.mode)}"
    return [f"The best {monitor} is {best.best(state.mode):.4g}, of {at}."]


def _rule_words(state: SweepStateOf[TrialFacts]) -> list[str]:
    stopped = sum(trial.is_outclassed for trial in state.trials)
    if not stopped:
        return []
    count = "1 trial that could" if stopped == 1 else f"{stopped} trials that could"
    saved = state.saved_seconds()
    about = f", which saved about {saved:.3g} s of compute time" if saved else ""
    return [f'The rule "{state.record.spec.rule.name}" stopped {count} not become the best{about}.']


def _failure_words(state: SweepStateOf[TrialFacts]) -> list[str]:
    failed = [trial for trial in state.trials if trial.has_failed]
    if not failed:
        return []
    return [f"{len(failed)} trials failed; the last one was trial {failed[-1].number}: {_why(failed[-1])}."]


def _why(trial: TrialFacts) -> str:
    return (trial.message or trial.reason or "its job has no error").rstrip(".")
