"""What Fitstop changes in Keras's own decision, and nothing else: a NaN is never the best."""

import math
from typing import Any


class NanIsNeverBest:
    """Mixin before one of Keras's monitoring callbacks.

    Keras takes the first monitored value as the best even if it is NaN, and no value compares better to NaN. Here an
    epoch whose value is NaN is an epoch without improvement. Every other decision is Keras's.
    """

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        if math.isnan(float(monitor_value)):
            return False
        return bool(super()._is_improvement(monitor_value, reference_value))  # type: ignore[misc]
