"""The page: what people look at.

The rule of this folder: HTML, style and scripts, all from the package's own files, and no truth of its own. Whatever a
page shows or does it asks the API for as any client would, signed in by a cookie; nothing else imports this package.
No script and no style stands inside the HTML (`POLICY`), no text becomes markup, and it runs without a build step.
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
