"""fitstop keys create, list, revoke."""

import json

KEY = "fs_abcdefghijkl_" + "A" * 40


def known(number=1, **values):
    return {
        "object": "key",
        "id": f"key_00000000000{number}",
        "name": "ci",
        "scope": "write",
        "status": "active",
        "created_at": "2026-11-23T19:12:00.000Z",
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": None,
        **values,
    }


def test_a_new_key_goes_to_stdout_alone_so_that_a_script_can_take_it(canned, fitstop):
    canned.on("POST", "/keys", {**known(), "key": KEY}, 201)
    result = fitstop("keys", "create", "ci", "--scope", "read", "--days", 30)
    assert (result.exit_code, result.stdout) == (0, KEY + "\n")
    assert "not shown again" in result.stderr
    assert json.loads(canned.asked[0].body) == {"name": "ci", "scope": "read", "expires_in_days": 30}


def test_a_key_is_created_for_a_project(canned, fitstop, make_page):
    canned.on("POST", "/keys", {**known(project="vision"), "key": KEY}, 201)
    result = fitstop("keys", "create", "anna", "--project", "vision")
    assert json.loads(canned.asked[0].body)["project"] == "vision"
    assert "project vision" in result.stderr
    # An older service knows no projects.
    canned.on("GET", "/keys", make_page(known(1, project="vision"), known(2)))
    shown = fitstop("keys", "list").stdout
    assert "vision" in shown
    assert "default" in shown


def test_keys_are_listed_with_what_they_may_and_whether_they_still_do(canned, fitstop, make_page):
    canned.on("GET", "/keys", make_page(known(1), known(2, status="revoked", expires_at="2027-01-02T03:04:05.000Z")))
    result = fitstop("keys", "list")
    assert result.exit_code == 0
    assert "key_000000000001" in result.stdout
    assert "revoked" in result.stdout
    assert "2027-01-02" in result.stdout
    assert json.loads(fitstop("keys", "list", "-o", "json").stdout)["data"][0]["name"] == "ci"


def test_a_key_is_revoked_by_its_public_name(canned, fitstop):
    canned.on("POST", "/keys/key_000000000001/revoke", known(status="revoked"))
    result = fitstop("keys", "revoke", "key_000000000001")
    assert result.exit_code == 0
    assert "revoked" in result.stderr


def test_without_a_key_that_may_the_status_is_4_and_the_fix_is_named(canned, fitstop):
    canned.problem("GET", "/keys", 401, title="Unauthorized", detail="an API key is required", code="no_key")
    result = fitstop("keys", "list")
    assert result.exit_code == 4
    assert "FITSTOP_API_KEY" in result.stderr
