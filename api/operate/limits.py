"""GET /limits: what this service takes at most."""

from flask import Response

from api.http.answer import json_response
from api.http.operation import json_answer, operation
from api.http.query import no_query
from api.jobs.show import MOST_WAIT_SECONDS
from api.shapes.service import DatasetLimits, JobLimits, KeyLimits, Limits, ModelLimits, RequestLimits
from api.state.service import service
from shared.dataset import MOST_IMAGE_CLASSES
from shared.spec import MOST_EPOCHS, MOST_PARAMETERS
from shared.task import MOST_CATEGORIES, MOST_CLASSES


@operation("showLimits", "service", "Show the limits", {200: json_answer("The limits.", Limits)})
def show() -> Response:
    """Show the limits by subject."""
    no_query()
    settings = service().settings
    return json_response(
        Limits(
            object="limits",
            job=JobLimits(
                bytes=settings.max_job_bytes,
                json_depth=settings.max_json_depth,
                epochs=MOST_EPOCHS,
                parameters=MOST_PARAMETERS,
                classes=MOST_CLASSES,
                categories_of_a_column=MOST_CATEGORIES,
                failures=settings.max_failures,
                losses=settings.max_losses,
            ),
            dataset=DatasetLimits(
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
            ),
            model=ModelLimits(bytes=settings.max_model_bytes),
            key=KeyLimits(
                requests_per_minute=settings.requests_per_minute,
                unfinished_jobs=settings.max_unfinished_jobs,
                uploads_at_once=settings.max_uploads,
                upload_bytes_per_day=settings.upload_bytes_per_day,
            ),
            request=RequestLimits(streams=settings.max_streams, wait_seconds=MOST_WAIT_SECONDS),
        )
    )
