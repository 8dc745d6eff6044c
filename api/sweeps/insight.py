"""GET /sweeps/{id}/explain and POST /sweeps/{id}/replay: why a sweep runs or ended, and what another rule would do."""

from flask import Response
from pydantic import BaseModel, ConfigDict

from api.auth.projects import find_sweep
from api.auth.quotas import costly_read
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, json_answer, operation
from api.http.query import no_query
from api.http.strict_json import SMALL_BODY_BYTES, read_object
from api.shapes import sweeps as shapes
from api.state.service import service
from api.sweeps.report import explain_waiting, status_of
from shared.problems import Conflict, NotFound
from shared.sweep.explain import explain
from shared.sweep.importance import importance
from shared.sweep.replay import SweepReplay, replay_sweep
from shared.sweep.spec import StoppingRule
from shared.sweep.state import SweepState, read_state
from shared.validation import validate


class SweepReplaySettings(BaseModel):
    """The body of POST /sweeps/{id}/replay."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    rule: StoppingRule
    """Rule to replay."""


@operation(
    "explainSweep",
    "sweeps",
    "Explain why a sweep runs or has ended, and which parameters matter",
    {200: json_answer("The explanation.", shapes.SweepExplanation)},
    errors=(404,),
)
def show_explanation(sweep_id: str) -> Response:
    """Explain the state of the sweep in a few sentences, with the importance of each parameter."""
    no_query()
    state = service().sweeps.of(find_sweep(sweep_id).id)
    sentences = explain(state, explain_waiting(state))
    with costly_read():
        found = importance(state.record.spec, state.trials)
    return json_response(
        shapes.SweepExplanation(
            object="sweep_explanation",
            sweep=sweep_id,
            status=status_of(state),
            sentences=sentences,
            text=" ".join(sentences),
            importance=None if found is None else _shares(found),
        )
    )


def _shares(found: dict[str, float]) -> list[shapes.ParameterImportance]:
    return [
        shapes.ParameterImportance(parameter=name, importance=round(min(1.0, share), 6))
        for name, share in found.items()
    ]


@operation(
    "replaySweep",
    "sweeps",
    "Replay a sweep under another rule",
    {200: json_answer("Result of the replay; nothing is stored.", shapes.SweepReplay)},
    body={JSON: SweepReplaySettings},
    example={"rule": {"name": "asha"}},
    errors=(*BODY_ERRORS, 404, 409),
)
def replay(sweep_id: str) -> Response:
    """Replay the trials of an ended sweep under another rule: what it saves, and whether it loses the winner.

    The trials keep their parameters, although the sampler might have proposed others under another rule.
    """
    no_query()
    folder = find_sweep(sweep_id)
    asked = validate(SweepReplaySettings, read_object(SMALL_BODY_BYTES, service().settings.max_json_depth))
    if service().sweeps.of(folder.id).end is None:
        raise Conflict("the sweep is running; a sweep can be replayed when it has ended")
    with costly_read():
        state = read_state(service().volume, folder.id)
        if state is None:
            raise NotFound("there is no sweep with this id")
        return json_response(_replay_report(state, asked.rule))


def _replay_report(state: SweepState, rule: StoppingRule) -> shapes.SweepReplay:
    found = replay_sweep(state.record.spec, state.trials, rule)
    return shapes.SweepReplay(
        object="sweep_replay",
        sweep=state.record.id,
        rule=rule,
        trials=found.trials,
        stopped=list(found.stopped),
        unknown=found.unknown,
        gpu_seconds=round(found.seconds, 6),
        gpu_seconds_saved=round(found.seconds_saved, 6),
        winner=found.winner,
        winner_then=found.winner_then,
        is_winner_lost=found.is_winner_lost,
        lost=found.lost,
        text=_replay_words(found),
    )


def _replay_words(found: SweepReplay) -> str:
    if not found.trials or found.winner is None:
        return "No trial has a value, so there is nothing to replay."
    share = found.seconds_saved / found.seconds if found.seconds else 0.0
    winner = f"trial {found.winner} stays the best"
    if found.is_winner_lost:
        winner = f"trial {found.winner_then} would be the best instead of trial {found.winner}, {found.lost:.4g} worse"
    unknown = f" {found.unknown} trials were stopped when they ran; nothing is known of them after that." * bool(
        found.unknown
    )
    return (
        f'The rule "{found.rule}" would have stopped {len(found.stopped)} of {found.trials} trials and saved '
        f"{found.seconds_saved:.3g} s of compute time ({share:.0%}); {winner}.{unknown}"
    )
