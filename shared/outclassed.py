"""The reason why a trial could not win, in words."""

from shared.job import Outclassed


def outclassed_words(found: Outclassed) -> str:
    """The reason, such as `its chance to beat trial 3 (val_accuracy 0.7812) was 2 %, below the limit of 5 %`."""
    if found.chance is not None and found.min_chance is not None:
        best = f"trial {found.best_trial} ({found.monitor} {found.to_beat:.4g})"
        return (
            f"its chance to beat {best} was {_percent(found.chance)}, below the limit of {_percent(found.min_chance)}"
        )
    own = f"its best {found.monitor} after {found.epoch} epochs was {found.value:.4g}"
    if found.rule == "median":
        return f"{own}, worse than the median {found.to_beat:.4g} of {found.trials} other trials"
    return f"{own}, and {found.to_beat:.4g} was needed to be among the best of {found.trials + 1} trials there"


def _percent(chance: float) -> str:
    return f"{100 * chance:.3g} %"
