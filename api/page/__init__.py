"""The web pages.

The rule of this folder: HTML, styles and scripts from the package's own files, and no state of its own. A page uses the
API as any client does, logged in by a cookie. No other package imports this one. The HTML contains no inline script or
style (`POLICY`), no text becomes markup, and there is no build step.
"""

from api.page.problem_page import install
from api.page.sign_in import code, sign_in, sign_out
from api.page.static_files import show_file, show_vendored
from api.page.views import (
    compare,
    datasets,
    job,
    jobs,
    keys,
    new,
    new_sweep,
    shared,
    show_sign_in,
    sweep,
    sweeps,
    usage,
    webhooks,
    workers,
)

__all__ = [
    "code",
    "compare",
    "datasets",
    "install",
    "job",
    "jobs",
    "keys",
    "new",
    "new_sweep",
    "shared",
    "show_file",
    "show_sign_in",
    "show_vendored",
    "sign_in",
    "sign_out",
    "sweep",
    "sweeps",
    "usage",
    "webhooks",
    "workers",
]
