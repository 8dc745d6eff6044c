"""fitstop open."""

import webbrowser


def test_the_page_is_opened_with_a_code_that_no_server_sees(canned, fitstop, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    canned.on("POST", "/page/codes", {"object": "code", "code": "one-time"}, 201)
    result = fitstop("open")
    assert (result.exit_code, result.stdout) == (0, "")
    assert opened == [f"{canned.url}/page/sign-in#code=one-time"]


def test_without_a_browser_the_address_is_printed_alone(canned, fitstop, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    canned.on("POST", "/page/codes", {"object": "code", "code": "one-time"}, 201)
    for arguments in (["open"], ["open", "--print"]):
        result = fitstop(*arguments)
        assert (result.exit_code, result.stdout) == (0, f"{canned.url}/page/sign-in#code=one-time\n")
        assert "once" in result.stderr
