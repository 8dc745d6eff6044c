"""Times as people and files see them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.times import format_time, parse_time, seconds_since, seconds_until, time_in, utc_now

# Hypothesis takes bounds without a zone.
FIRST, LAST = (datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1971, 2200))
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


@given(MOMENTS)
def test_a_time_comes_back_to_the_millisecond(moment):
    assert timedelta(0) <= moment - parse_time(format_time(moment)) < timedelta(milliseconds=1)


@given(MOMENTS, MOMENTS)
def test_times_sort_as_texts(one, other):
    assert (format_time(one) < format_time(other)) <= (one < other)


def test_a_time_is_rfc_3339_in_utc_to_the_millisecond():
    elsewhere = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 11, 23, 21, 12, 0, 123_456, elsewhere)) == "2026-11-23T19:12:00.123Z"


def test_now_is_now():
    assert abs((parse_time(utc_now()) - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-23", "2026-11-23T19:12:00"])
def test_what_names_no_moment_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


def test_the_seconds_since_a_time_to_come_are_zero():
    assert seconds_since(time_in(60)) == 0
    assert 59 < seconds_since(time_in(-60)) < 70


def test_the_seconds_until_a_time_that_has_passed_are_below_zero():
    assert 50 < seconds_until(time_in(60)) <= 60
    assert seconds_until(time_in(-60)) <= -60


def test_a_time_that_lies_nothing_ahead_has_come():
    assert seconds_until(time_in(0)) <= 0
