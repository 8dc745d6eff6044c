"""Proposes the parameters of the next trial: the same for the same sweep, number and results, on every worker.

The samplers are Optuna's, over a study in memory that is built from the trials; none of its storages is used. Two are
not Optuna's: the grid, which has the order of the spec, and CMA-ES, of which Optuna stores a pickle. Here its evolution
(of the package `cmaes`, as in Optuna) is computed from all results.
"""

import hashlib
import math
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.sweep.space import bounds, grid, in_order, is_active, numeric, place_of
from shared.sweep.spec import ChoiceSpec, IntSpec, LogSpec, Parameter, SweepSpec
from shared.sweep.trial import Trial

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

# Initial step size of CMA-ES in the unit cube that it searches.
_STEP = 0.25


def propose(spec: SweepSpec, history: Sequence[Trial], number: int) -> dict[str, Any]:
    """The parameters of trial `number` (from 1) after the trials of `history`, finished and unfinished ones.

    Raises ValueError if a grid has fewer combinations.
    """
    if spec.sampler == "grid":
        found = next(islice(grid(spec.space), number - 1, None), None)
        if found is None:
            raise ValueError(f"the grid has fewer than {number} combinations")
        return found
    earlier = sorted((trial for trial in history if trial.number != number), key=lambda trial: trial.number)
    seed = _seed(spec, number)
    if spec.sampler == "cmaes":
        return _ask(spec, [], seed, "random") | _evolve(spec, earlier, seed)
    return _ask(spec, earlier if spec.sampler == "tpe" else [], seed, spec.sampler)


def _seed(spec: SweepSpec, number: int) -> int:
    digest = hashlib.sha256(f"{spec.seed} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _ask(spec: SweepSpec, history: Sequence[Trial], seed: int, sampler: str) -> dict[str, Any]:
    """The parameters that a sampler of Optuna suggests."""
    import optuna

    # Optuna logs every trial that is added.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kind = optuna.samplers.RandomSampler(seed=seed) if sampler == "random" else _tpe(seed)
    study = optuna.create_study(sampler=kind, direction="maximize" if spec.objective.mode == "max" else "minimize")
    study.add_trials([one for trial in history if (one := _frozen(spec, trial)) is not None])
    asked, chosen = study.ask(), dict[str, Any]()
    for name in in_order(spec.space):
        if is_active(spec.space[name], chosen):
            chosen[name] = _suggest(asked, name, spec.space[name])
    return chosen


def _tpe(seed: int) -> "optuna.samplers.BaseSampler":
    from optuna.samplers import TPESampler

    # Unfinished trials count as bad ones, so that concurrent trials do not try the same.
    return TPESampler(seed=seed, constant_liar=True)


def _distribution(parameter: Parameter) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, ChoiceSpec):
        # Indices, since a choice may be any value.
        return CategoricalDistribution(range(len(parameter.choice)))
    low, high = bounds(parameter)
    if isinstance(parameter, IntSpec):
        return IntDistribution(low, high, log=parameter.log, step=parameter.step)
    return FloatDistribution(low, high, log=isinstance(parameter, LogSpec))


def _suggest(asked: "optuna.Trial", name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, ChoiceSpec):
        return parameter.choice[asked.suggest_categorical(name, range(len(parameter.choice)))]
    low, high = bounds(parameter)
    if isinstance(parameter, IntSpec):
        return asked.suggest_int(name, low, high, log=parameter.log, step=parameter.step)
    return asked.suggest_float(name, low, high, log=isinstance(parameter, LogSpec))


def _frozen(spec: SweepSpec, trial: Trial) -> "optuna.trial.FrozenTrial | None":
    """A trial in Optuna's form; None if it has no result and will have none."""
    from optuna.trial import TrialState, create_trial

    space = {name: spec.space[name] for name in trial.parameters if name in spec.space}
    facts: dict[str, Any] = {
        "params": {name: _suggested(one, trial.parameters[name]) for name, one in space.items()},
        "distributions": {name: _distribution(one) for name, one in space.items()},
    }
    best = trial.best(spec.objective.mode)
    if not trial.is_finished:
        return create_trial(state=TrialState.RUNNING, **facts)
    if best is None or trial.has_failed:
        return None
    if trial.is_outclassed:
        return create_trial(state=TrialState.PRUNED, intermediate_values={len(trial.curve): best}, **facts)
    return create_trial(state=TrialState.COMPLETE, value=best, **facts)


def _suggested(parameter: Parameter, value: Any) -> Any:
    return place_of(value, parameter.choice) if isinstance(parameter, ChoiceSpec) else value


def _evolve(spec: SweepSpec, history: Sequence[Trial], seed: int) -> dict[str, Any]:
    """The parameters that CMA-ES asks for after all results, by generations in the order of the trials' numbers."""
    from cmaes import CMA

    names, sign = numeric(spec.space), -1.0 if spec.objective.mode == "max" else 1.0
    size = len(names)
    optimizer = CMA(np.full(size, 0.5), _STEP, bounds=np.array([[0.0, 1.0]] * size), seed=seed)
    told = [
        (_unit(spec, names, trial), sign * best)
        for trial in history
        if trial.is_finished and not trial.has_failed and (best := trial.best(spec.objective.mode)) is not None
    ]
    each = optimizer.population_size
    for begin in range(0, len(told) - each + 1, each):
        optimizer.tell(told[begin : begin + each])
    point = optimizer.ask()
    return {name: _from_unit(spec.space[name], float(at)) for name, at in zip(names, point, strict=True)}


def _unit(spec: SweepSpec, names: Sequence[str], trial: Trial) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """A trial's numbers in the unit cube."""
    return np.array([_to_unit(spec.space[name], trial.parameters[name]) for name in names])


def _to_unit(parameter: Parameter, value: float) -> float:
    low, high = map(float, bounds(parameter))
    if _is_log(parameter):
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _from_unit(parameter: Parameter, at: float) -> Any:
    low, high = bounds(parameter)
    value = low * (high / low) ** at if _is_log(parameter) else low + at * (high - low)
    if isinstance(parameter, IntSpec):
        return min(high, max(low, low + round((value - low) / parameter.step) * parameter.step))
    return min(high, max(low, value))


def _is_log(parameter: Parameter) -> bool:
    return isinstance(parameter, LogSpec) or (isinstance(parameter, IntSpec) and parameter.log)
