"""The learning rate of an epoch in a schedule of the spec. It depends only on the epoch, so that a resume is exact."""

import math

from shared.spec import LearningRateScheduleSpec


def scheduled_rate(spec: LearningRateScheduleSpec, learning_rate: float, epoch: int) -> float:
    """The learning rate of an epoch (from 0). `learning_rate` is the maximum.

    With t epochs since the warm-up and d `decay_epochs`: cosine min + (max - min) (1 + cos(pi t / d)) / 2, as in
    SGDR without restarts (arXiv:1608.03983); exponential max factor^(t / d); step max factor^floor(t / d).
    """
    if spec.decay_epochs == "auto":
        raise ValueError("the spec has not been resolved")
    if epoch < spec.warmup_epochs:
        return learning_rate * (epoch + 1) / (spec.warmup_epochs + 1)
    done = (epoch - spec.warmup_epochs) / spec.decay_epochs
    if spec.kind == "cosine":
        return spec.min_lr + (learning_rate - spec.min_lr) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return max(spec.min_lr, learning_rate * spec.factor ** (math.floor(done) if spec.kind == "step" else done))
