"""The only change that Fitstop makes to the decisions of Keras's callbacks: NaN is never the best value."""

import math
from typing import Any


class NanIsNeverBest:
    """Mixin for Keras's callbacks with a monitor; it must be the first base class.

    Keras takes the first value as the best even if it is NaN, and no later value is better than NaN. With this mixin,
    an epoch with NaN is an epoch without improvement.
    """

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        if math.isnan(float(monitor_value)):
            return False
        return bool(super()._is_improvement(monitor_value, reference_value))  # type: ignore[misc]
