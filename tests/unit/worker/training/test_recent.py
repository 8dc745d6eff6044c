"""How long something has taken recently."""

from worker.training.recent import RecentSeconds


def test_one_that_was_slow_by_chance_does_not_decide_and_what_is_long_past_neither() -> None:
    recent = RecentSeconds()
    assert recent.usual == 0.0
    for seconds in (1.0, 1.0, 30.0, 3.0, 2.0):
        recent.add(seconds)
    assert recent.usual == 2.0
    for _ in range(3):
        recent.add(8.0)
    assert recent.usual == 8.0
