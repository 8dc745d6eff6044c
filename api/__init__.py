"""HTTP in, JSON out: what Fitstop serves.

The law of this folder: it never imports `worker`, Keras or TensorFlow, and reads no data file itself: uploads are
parsed in a throw-away process (`api.ingest`), the only one that knows pyarrow.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from shared.settings import Settings


def create_app(settings: "Settings") -> "Flask":
    """The whole API on one volume. Makes the volume's folders; raises OSError where it cannot."""
    # Here and not above, so that `python -m api.ingest` starts without Flask and Celery.
    from flask import Flask

    from api import (
        datasets,
        downloads,
        events,
        explain,
        forecast,
        health,
        histories,
        jobs,
        problems,
        replay,
        requests,
        usage,
        workers,
    )
    from api.service import Service

    app = Flask("api", static_folder=None)
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    Service.attach(app, settings)
    histories.install(app)
    requests.install(app)
    problems.install(app)

    table: list[tuple[str, str, Callable[..., Any]]] = [
        ("GET", "/datasets", datasets.show_all),
        ("PUT", "/datasets/<dataset_id>", datasets.take_in),
        ("GET", "/datasets/<dataset_id>", datasets.show),
        ("POST", "/jobs", jobs.submit),
        ("GET", "/jobs", jobs.show_all),
        ("GET", "/jobs/<job_id>", jobs.show),
        ("POST", "/jobs/<job_id>/cancel", jobs.cancel),
        ("GET", "/jobs/<job_id>/events", events.show),
        ("GET", "/jobs/<job_id>/epochs", events.show_epochs),
        ("GET", "/jobs/<job_id>/training_log.csv", downloads.training_log),
        ("GET", "/jobs/<job_id>/checkpoints", downloads.checkpoints),
        ("GET", "/jobs/<job_id>/checkpoints/<name>", downloads.checkpoint),
        ("GET", "/jobs/<job_id>/model", downloads.model),
        ("GET", "/jobs/<job_id>/explain", explain.show),
        ("GET", "/jobs/<job_id>/forecast", forecast.show),
        ("POST", "/jobs/<job_id>/replay", replay.replay_job),
        ("GET", "/replay/patience", replay.patience),
        ("GET", "/usage", usage.show),
        ("GET", "/workers", workers.show_all),
        ("GET", "/healthz", health.alive),
        ("GET", "/readyz", health.ready),
    ]
    for method, rule, view in table:
        app.add_url_rule(rule, f"{view.__module__}.{view.__name__}", view, methods=[method])
    return app
