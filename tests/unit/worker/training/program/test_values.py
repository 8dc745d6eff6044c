"""What a resume point can hold of a callback."""

import math
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest

from worker.training.program.values import NotPlain, decode, encode


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, "text", 0.1, math.inf, [1, (2.5, "x")], {"a": {1, 2}, 3: [None]}, frozenset({4}),
        np.float32(1.5), np.float64(0.1), np.arange(6).reshape(2, 3), [np.ones(2), {"w": np.zeros((1, 1))}],
    ],
)  # fmt: skip
def test_plain_values_come_back_as_they_were(value: object) -> None:
    arrays: list[object] = []
    back = decode(encode(value, arrays), arrays)
    assert type(back) is type(value)
    np.testing.assert_equal(back, value)


def test_nan_comes_back_and_an_object_does_not_go() -> None:
    assert math.isnan(decode(encode(math.nan, []), []))
    for value in (object(), lambda: 0, np.array([object()]), {"a": [open]}, Counter("a"), Point(1, 2)):
        with pytest.raises(NotPlain):
            encode(value, [])
