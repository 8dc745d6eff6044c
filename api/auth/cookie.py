"""The cookie of a logged-in browser: its name, how it is set, and the allowed origin of its writes.

It holds the secret of a session (`api.state.sessions`), never a key. No script reads it (HttpOnly) and no other site
sends it (SameSite=Strict). Sites are compared without their ports, so that is not enough on a machine with several
servers: a write also has to come from our own page, as reported by the browser.
"""

from urllib.parse import urlsplit

from flask import Response, request

from api.http.problems import HttpProblem
from api.state.sessions import SECONDS

# With this prefix, a browser accepts the cookie only over https and only from this host, not from others of its domain.
_HOST = "__Host-"


def read_secret() -> str | None:
    """The secret that the browser sent, not yet checked, or None."""
    secret = request.cookies.get(_HOST + _name())
    return secret if secret is not None or request.is_secure else request.cookies.get(_name())


def set_cookie(response: Response, secret: str) -> None:
    """Set the cookie with a session's secret, for the lifetime of the session."""
    name = _HOST + _name() if _is_https() else _name()
    response.set_cookie(
        name, secret, max_age=SECONDS["session"], path="/", secure=_is_https(), httponly=True, samesite="Strict"
    )


def remove_cookie(response: Response) -> None:
    """Remove the cookie."""
    response.delete_cookie(_name(), path="/", secure=_is_https(), httponly=True, samesite="Strict")
    if _is_https():
        response.delete_cookie(_HOST + _name(), path="/", secure=True, httponly=True, samesite="Strict")


def check_origin() -> None:
    """Raise HttpProblem 403 unless our own page has sent the request.

    Browsers report it in Sec-Fetch-Site, which no script can set. Older browsers, and all on plain HTTP, use Origin.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if (origin is None and site is None) or not (site in {None, "same-origin"} and origin in {None, *_own_origins()}):
        raise HttpProblem(
            403,
            "foreign_origin",
            "a browser session may send this only from the service's own page; otherwise use an API key",
        )


def _own_origins() -> set[str]:
    """The service's own origins. A proxy with TLS forwards plain HTTP and the Host, while browsers report https."""
    return {f"https://{request.host}", f"{request.scheme}://{request.host}"}


def _is_https() -> bool:
    """Whether the browser uses https: by our own connection, or by its headers behind a proxy."""
    return request.is_secure or request.headers.get("Origin", "").startswith("https://")


def _name() -> str:
    """The cookie's name, one for each port: cookies ignore ports, and one machine may run two services."""
    port = urlsplit(f"//{request.host}").port
    return "fitstop_session" if port is None else f"fitstop_session_{port}"
