"""GET /metrics: metrics for Prometheus.

Requests are counted by all API processes of this host together (`api.serving.server`). Jobs and workers are read from
the volume at the request. The time of a request ends when its answer begins, so the length of a stream does not count.
"""

import os
import time
from collections.abc import Iterator
from functools import cache

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from api.auth.projects import own_project
from api.http.operation import Answer, operation
from api.http.query import no_query
from api.operate.workers import worker_status
from api.state.index import IndexNotReady
from api.state.service import Service, service
from shared.job_folder import JobFolder, is_waiting

_BOUNDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0)

_requests = CollectorRegistry()
_count = Counter("fitstop_requests", "Requests answered.", ["method", "route", "status"], registry=_requests)
_seconds = Histogram(
    "fitstop_request_seconds", "Until the answer begins.", ["method", "route"], buckets=_BOUNDS, registry=_requests
)


def install(app: Flask) -> None:
    """Count every request of `app`."""
    app.before_request(_begin)
    app.after_request(_observe)


@operation(
    "showMetrics",
    "service",
    "Show metrics for Prometheus",
    {200: Answer("Metrics in Prometheus's text format.", {"text/plain": {"type": "string"}})},
)
def show() -> Response:
    """Metrics in Prometheus's text format. Only a key of scope admin sees all projects, and the requests."""
    no_query()
    volume = CollectorRegistry()
    volume.register(_OfTheVolume(service(), own_project()))
    if own_project() is not None:
        return Response(generate_latest(volume), content_type=CONTENT_TYPE_LATEST)
    registry = _requests
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry) + generate_latest(volume), content_type=CONTENT_TYPE_LATEST)


def _begin() -> None:
    g.counted_from = time.monotonic()


def _observe(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "none"
    # A client may send any word as the method.
    method = request.method if request.method in {"GET", "HEAD", "POST", "PUT", "DELETE"} else "other"
    count, seconds = _meters(method, route, response.status_code)
    count.inc()
    seconds.observe(time.monotonic() - g.get("counted_from", time.monotonic()))
    return response


@cache
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The meters of a method, route and status, cached: the lookup costs more than the count."""
    return _count.labels(method, route, str(status)), _seconds.labels(method, route)


class _OfTheVolume:
    """The current metrics of the volume: jobs of one project or of all, and workers."""

    def __init__(self, current: Service, project: str | None) -> None:
        self._service = current
        self._project = project

    def collect(self) -> Iterator[Metric]:
        yield self._jobs()
        yield self._workers()
        if self._service.settings.redis_address is not None:
            pending = self._service.job_queue.count_pending()
            yield GaugeMetricFamily("fitstop_redis_up", "Whether Redis answers.", value=float(pending is not None))

    def _jobs(self) -> Metric:
        """Jobs by status. Finished ones are left out while the index is not ready."""
        family = GaugeMetricFamily("fitstop_jobs", "Jobs by state.", labels=["status"])
        folders = [
            self._service.volume.job_folder(marker.job_id)
            for marker in self._service.volume.open_jobs()
            if self._project in {None, marker.project}
        ]
        family.add_metric(["queued"], sum(is_waiting(str(folder.path)) for folder in folders))
        family.add_metric(["running"], sum(map(_is_running, folders)))
        try:
            for status, count in sorted(self._service.index.counts(self._project).items()):
                family.add_metric([status], count)
        except IndexNotReady:
            return family
        return family

    def _workers(self) -> Metric:
        family = GaugeMetricFamily("fitstop_workers", "Workers by status.", labels=["status"])
        lost_after = self._service.settings.take_over_seconds
        found = [worker_status(card, lost_after) for card in self._service.volume.worker_cards()]
        for status in ("ready", "busy", "starting", "paused", "unfit", "draining", "lost"):
            family.add_metric([status], found.count(status))
        return family


def _is_running(folder: JobFolder) -> bool:
    """Whether the job's last attempt has not ended."""
    return not folder.result_file.exists() and folder.running_attempt() is not None
