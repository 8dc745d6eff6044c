"""GET /limits: the limits of this service, and the used part of the quotas of the caller's project."""

from collections.abc import Callable

from flask import Response

from api.auth.access import caller
from api.auth.project_quotas import project_quota
from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import no_query
from api.jobs.show import MOST_WAIT_SECONDS
from api.shapes.service import (
    DatasetLimits,
    JobLimits,
    KeyLimits,
    Limits,
    ModelLimits,
    ProgramLimits,
    ProjectLimits,
    Quota,
    RequestLimits,
)
from api.state.service import service
from shared.dataset import MOST_IMAGE_CLASSES
from shared.job_quota import count_open_jobs
from shared.project import weight_of
from shared.settings import Settings
from shared.spec import MOST_EPOCHS, MOST_PARAMETERS
from shared.task import MOST_CATEGORIES, MOST_CLASSES
from shared.times import utc_now


@operation("showLimits", "service", "Show the limits", {200: json_answer("The limits.", Limits)})
def show() -> Response:
    """Show the limits by subject."""
    no_query()
    settings = service().settings
    return json_response(
        Limits(
            object="limits",
            job=_job(settings),
            dataset=_dataset(settings),
            model=ModelLimits(bytes=settings.max_model_bytes),
            program=ProgramLimits(bytes=settings.max_program_bytes, files=settings.max_program_files),
            key=KeyLimits(
                requests_per_minute=settings.requests_per_minute,
                unfinished_jobs=settings.max_unfinished_jobs,
                uploads_at_once=settings.max_uploads,
                upload_bytes_per_day=settings.upload_bytes_per_day,
                streams=settings.streams_per_key,
                costly_reads=settings.costly_reads_per_key,
            ),
            project=_project(caller().project),
            request=RequestLimits(streams=settings.max_streams, wait_seconds=MOST_WAIT_SECONDS),
        )
    )


def _job(settings: Settings) -> JobLimits:
    return JobLimits(
        bytes=settings.max_job_bytes,
        json_depth=settings.max_json_depth,
        table_bytes=settings.max_table_bytes,
        batch_bytes=settings.max_batch_bytes,
        epochs=MOST_EPOCHS,
        parameters=MOST_PARAMETERS,
        classes=MOST_CLASSES,
        categories_of_a_column=MOST_CATEGORIES,
        failures=settings.max_failures,
        losses=settings.max_losses,
    )


def _dataset(settings: Settings) -> DatasetLimits:
    return DatasetLimits(
        bytes=settings.max_dataset_bytes,
        columns=settings.max_dataset_columns,
        cells=settings.max_dataset_cells,
        image_dataset_bytes=settings.max_image_dataset_bytes,
        array_dataset_bytes=settings.max_array_dataset_bytes,
        images=settings.max_dataset_images,
        image_bytes=settings.max_image_bytes,
        image_pixels=settings.max_image_pixels,
        classes=MOST_IMAGE_CLASSES,
        ingest_seconds=settings.ingest_timeout_seconds,
    )


def _project(name: str) -> ProjectLimits:
    quota, usage, settings = project_quota(name), service().usage, service().settings
    return ProjectLimits(
        name=name,
        weight=weight_of(settings.project_weights, name),
        bytes=_quota(quota.bytes, lambda: usage.bytes(name)),
        unfinished_jobs=_quota(quota.unfinished_jobs, lambda: count_open_jobs(service().volume, name)),
        gpu_seconds_per_month=_quota(quota.gpu_seconds_per_month, lambda: usage.spent(name).gpu_seconds),
        cost_per_month=_quota(quota.cost_per_month, lambda: usage.spent(name).cost),
        currency=settings.currency,
        month=utc_now()[:7],
    )


def _quota(limit: float | None, used: Callable[[], float]) -> Quota | None:
    return None if limit is None else Quota(limit=float(limit), used=round(float(used()), 6))
