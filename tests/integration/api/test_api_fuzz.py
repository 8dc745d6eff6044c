"""A short seeded part of `make fuzz-api`."""

from proofs.fuzz_api import MOST_GROWTH_MB, bad_lines, fuzz


def test_two_thousand_strange_requests_meet_no_error_of_ours(tmp_path):
    judged = fuzz(2000, 1, tmp_path)
    assert [(one.why, one.request[:300]) for one in judged.wrong] == []
    assert judged.log == []
    assert sum(judged.statuses.values()) > 1800
    assert {202, 400, 401, 404, 405, 413, 415, 422} <= set(judged.statuses), "it reaches all kinds of refusals"
    assert judged.growth < MOST_GROWTH_MB


def test_a_traceback_in_the_log_is_found(tmp_path):
    log = tmp_path / "log"
    log.write_text('{"level": "info"}\nTraceback (most recent call last):\n{"traceback": "Traceback (most"}\n')
    assert len(bad_lines(log)) == 2
