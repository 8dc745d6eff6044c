"""The HTTP API of Fitstop, and the page that shows it (`api.page`).

The rule of this folder: it never imports `worker`, Keras, TensorFlow or pandas. Uploads are parsed in a throw-away
process (`api.datasets.ingest`); from a dataset, the API reads only the columns that it needs to check a post
(`shared.resolve.row_facts`), and its thumbnails.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from api.auth.access import RouteScope
    from shared.settings import Settings


def create_app(settings: "Settings") -> "Flask":
    """Create the API on one volume, and the volume's folders. Raises OSError if it cannot."""
    # Here and not above, so that `python -m api.datasets.ingest` starts without Flask and Celery.
    from flask import Flask

    from api import page
    from api.auth import access, keys, quotas
    from api.datasets import resumable, thumbnails
    from api.datasets import views as datasets
    from api.document import views as document
    from api.http import every_request, problems
    from api.insight import explain, forecast, replay, spend, usage
    from api.jobs import (
        annotate,
        bundle,
        end,
        evaluation,
        events,
        extend,
        files,
        output,
        post,
        share,
        system,
        work_files,
    )
    from api.jobs import list as job_list
    from api.jobs import show as job_view
    from api.models import views as models
    from api.operate import health, limits, metrics, queue, workers
    from api.page import rows
    from api.programs import views as programs
    from api.state import histories, volume_check
    from api.state.service import Service
    from api.sweeps import extend as sweep_extend
    from api.sweeps import insight as sweep_insight
    from api.sweeps import views as sweeps
    from api.webhooks import views as webhooks

    app = Flask("api", static_folder=None, template_folder="page/templates")
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # No function of the API is a coroutine, so Flask does not have to check each one that it calls in a request.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    Service.attach(app, settings)
    histories.install(app)
    rows.install(app)
    spend.install(app)
    every_request.install(app)
    problems.install(app)
    page.install(app)
    metrics.install(app)
    volume_check.install(app)
    access.install(app)
    quotas.install(app)

    table: list[tuple[str, str, RouteScope, Callable[..., Any]]] = [
        ("GET", "/datasets", "read", datasets.show_all),
        ("PUT", "/datasets/<dataset_id>", "write", datasets.put),
        ("GET", "/datasets/<dataset_id>", "read", datasets.show),
        ("DELETE", "/datasets/<dataset_id>", "write", datasets.delete),
        ("GET", "/datasets/<dataset_id>/images", "read", thumbnails.show_images),
        ("PUT", "/datasets/<dataset_id>/uploads/<upload_id>", "write", resumable.begin),
        ("GET", "/datasets/<dataset_id>/uploads/<upload_id>", "write", resumable.show),
        ("PATCH", "/datasets/<dataset_id>/uploads/<upload_id>", "write", resumable.append),
        ("DELETE", "/datasets/<dataset_id>/uploads/<upload_id>", "write", resumable.cancel),
        ("GET", "/models", "read", models.show_all),
        ("PUT", "/models/<weights_id>", "write", models.put),
        ("GET", "/models/<weights_id>", "read", models.show),
        ("DELETE", "/models/<weights_id>", "write", models.delete),
        ("GET", "/programs", "read", programs.show_all),
        ("PUT", "/programs/<program_id>", "code", programs.put),
        ("GET", "/programs/<program_id>", "read", programs.show),
        ("DELETE", "/programs/<program_id>", "code", programs.delete),
        ("POST", "/jobs", "write", post.submit),
        ("GET", "/jobs", "read", job_list.show_all),
        ("GET", "/jobs/<job_id>", "shared", job_view.show),
        ("PATCH", "/jobs/<job_id>", "write", annotate.change),
        ("DELETE", "/jobs/<job_id>", "write", end.delete),
        ("POST", "/jobs/<job_id>/cancel", "write", end.cancel),
        ("POST", "/jobs/<job_id>/retry", "write", post.retry),
        ("POST", "/jobs/<job_id>/extend", "write", extend.extend),
        ("GET", "/jobs/<job_id>/events", "shared", events.show),
        ("GET", "/jobs/<job_id>/epochs", "shared", events.show_epochs),
        ("GET", "/jobs/<job_id>/output", "read", output.show),
        ("GET", "/jobs/<job_id>/system", "shared", system.show),
        ("GET", "/jobs/<job_id>/training_log.csv", "read", files.training_log),
        ("GET", "/jobs/<job_id>/checkpoints", "shared", files.checkpoints),
        ("GET", "/jobs/<job_id>/checkpoints/<name>", "read", files.checkpoint),
        ("GET", "/jobs/<job_id>/files", "read", work_files.show_all),
        ("GET", "/jobs/<job_id>/files/<path:path>", "read", work_files.show),
        ("GET", "/jobs/<job_id>/model", "read", files.model),
        ("GET", "/jobs/<job_id>/evaluation", "shared", evaluation.show),
        ("GET", "/jobs/<job_id>/bundle.zip", "read", bundle.bundle),
        ("GET", "/jobs/<job_id>/explain", "shared", explain.show),
        ("GET", "/jobs/<job_id>/forecast", "shared", forecast.show),
        ("POST", "/jobs/<job_id>/replay", "read", replay.replay_job),
        ("POST", "/jobs/<job_id>/shares", "write", share.create),
        ("GET", "/jobs/<job_id>/shares", "write", share.show_all),
        ("DELETE", "/jobs/<job_id>/shares/<share_id>", "write", share.revoke),
        ("GET", "/replay/patience", "read", replay.patience),
        ("POST", "/sweeps", "write", sweeps.submit),
        ("GET", "/sweeps", "read", sweeps.show_all),
        ("GET", "/sweeps/<sweep_id>", "read", sweeps.show),
        ("DELETE", "/sweeps/<sweep_id>", "write", sweeps.delete),
        ("GET", "/sweeps/<sweep_id>/trials", "read", sweeps.show_trials),
        ("GET", "/sweeps/<sweep_id>/explain", "read", sweep_insight.show_explanation),
        ("POST", "/sweeps/<sweep_id>/cancel", "write", sweeps.cancel),
        ("POST", "/sweeps/<sweep_id>/extend", "write", sweep_extend.extend),
        ("POST", "/sweeps/<sweep_id>/replay", "read", sweep_insight.replay),
        ("GET", "/webhooks", "read", webhooks.show_all),
        ("POST", "/webhooks", "write", webhooks.create),
        ("GET", "/webhooks/<webhook_id>", "read", webhooks.show),
        ("DELETE", "/webhooks/<webhook_id>", "write", webhooks.delete),
        ("POST", "/webhooks/<webhook_id>/test", "write", webhooks.test),
        ("GET", "/usage", "read", usage.show),
        ("GET", "/workers", "read", workers.show_all),
        ("GET", "/queue", "read", queue.show_all),
        ("GET", "/limits", "read", limits.show),
        ("GET", "/metrics", "read", metrics.show),
        ("GET", "/keys", "admin", keys.show_all),
        ("POST", "/keys", "admin", keys.create),
        ("POST", "/keys/<key_id>/revoke", "admin", keys.revoke),
        ("GET", "/openapi.json", "read", document.show_api),
        ("GET", "/schema/job.json", "read", document.show_job_schema),
        ("GET", "/docs", "read", document.show_page),
        ("GET", "/healthz", "public", health.alive),
        ("GET", "/readyz", "read", health.ready),
        ("GET", "/", "page", page.jobs),
        ("GET", "/page/jobs/<job_id>", "page", page.job),
        # Without a job's token, which is after the # of the address, the page shows nothing.
        ("GET", "/page/shared/<job_id>", "public", page.shared),
        ("GET", "/page/compare", "page", page.compare),
        ("GET", "/page/new", "page", page.new),
        ("GET", "/page/datasets", "page", page.datasets),
        ("GET", "/page/keys", "page", page.keys),
        ("GET", "/page/usage", "page", page.usage),
        ("GET", "/page/workers", "page", page.workers),
        ("GET", "/page/sweeps", "page", page.sweeps),
        ("GET", "/page/sweeps/new", "page", page.new_sweep),
        ("GET", "/page/sweeps/<sweep_id>", "page", page.sweep),
        ("GET", "/page/webhooks", "page", page.webhooks),
        # A person who logs in has no session yet. The static files contain only what is in the package.
        ("GET", "/page/sign-in", "public", page.show_sign_in),
        ("POST", "/page/sign-in", "public", page.sign_in),
        ("POST", "/page/sign-out", "public", page.sign_out),
        ("POST", "/page/codes", "read", page.code),
        ("GET", "/page/rows", "read", rows.show),
        ("GET", "/page/static/<name>", "public", page.show_file),
        ("GET", "/page/static/vendor/<name>", "public", page.show_vendored),
    ]
    for method, rule, scope, view in table:
        endpoint = f"{view.__module__}.{view.__name__}"
        app.add_url_rule(rule, endpoint, view, methods=[method], provide_automatic_options=False)
        access.protect(app, endpoint, scope)
    return app
