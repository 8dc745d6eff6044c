"""The objects that all views use: the settings, the volume, the queue, the stores, and the limits of expensive work."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, current_app

from api.state.dataset_cache import DatasetCache
from api.state.incoming import remove_leftovers
from api.state.index import JobIndex
from api.state.job_projects import JobProjects
from api.state.key_places import KeyPlaces
from api.state.key_store import KeyStore
from api.state.notifier import Notifier
from api.state.partial_uploads import remove_expired
from api.state.past_jobs import DeletedJobs
from api.state.project_usage import ProjectUsage
from api.state.queue_order import QueuePlaces
from api.state.quota_watch import QuotaWatch
from api.state.report_cache import Views
from api.state.sessions import SessionStore
from api.state.share_store import ShareStore
from api.state.shared_counts import SharedCounts
from api.state.state_folder import open_state_folder
from api.state.sweeps import SweepStates
from api.state.unfinished_jobs import UnfinishedJobs
from api.state.webhook_store import WebhookStore
from shared.mirror.opening import open_mirror
from shared.queue import JobQueue, OwnQueue, RedisQueue, make_celery
from shared.settings import Settings
from shared.volume import Volume

_KEY = "fitstop"
# Each of them may take as much memory as the settings allow for one.
_MOST_PARSERS = 2
# Maximum time to wait for an answer of Redis. If it hangs, the job is stored, and a worker's patrol finds it.
_NOTIFY_SECONDS = 0.3


@dataclass
class Service:
    """The service, in one process. Long answers such as event streams call `is_stopping`, and end when it is true."""

    settings: Settings
    volume: Volume
    datasets: DatasetCache
    job_queue: JobQueue
    notifier: Notifier
    index: JobIndex
    views: Views
    places: QueuePlaces
    projects: JobProjects
    keys: KeyStore
    sessions: SessionStore
    shares: ShareStore
    webhooks: WebhookStore
    counts: SharedCounts
    unfinished: UnfinishedJobs
    streams: threading.BoundedSemaphore
    streams_of_keys: KeyPlaces
    costly_of_keys: KeyPlaces
    usage: ProjectUsage
    deleted_jobs: DeletedJobs
    sweeps: SweepStates
    parsers: threading.BoundedSemaphore
    uses_noted: dict[str, float] = field(default_factory=dict)
    is_stopping: Callable[[], bool] = field(default=lambda: False)

    @classmethod
    def attach(cls, app: Flask, settings: Settings) -> None:
        """Create the service and attach it to `app`, where `service()` finds it. Raises OSError."""
        mirror = open_mirror(settings, settings.volume)
        volume = Volume(settings.volume)
        if mirror is not None:
            mirror.begin()
        counts = SharedCounts(settings.redis_address)
        job_queue = _choose_queue(settings)
        remove_leftovers(volume.datasets)
        remove_expired(volume.datasets)
        threading.Thread(target=volume.remove_leftovers, name="leftovers", daemon=True).start()
        index = JobIndex(volume, settings.index_folder)
        state_folder = open_state_folder(settings)
        keys = KeyStore(state_folder, settings.admin_key)
        usage = ProjectUsage(volume, index, settings.volume / "spent", settings.currency)
        QuotaWatch(volume, usage, settings).begin()
        app.extensions[_KEY] = cls(
            settings=settings,
            volume=volume,
            datasets=DatasetCache(volume),
            job_queue=job_queue,
            notifier=Notifier(job_queue),
            index=index,
            keys=keys,
            sessions=SessionStore(state_folder, keys),
            shares=ShareStore(state_folder, keys),
            webhooks=WebhookStore(state_folder),
            views=Views(),
            places=QueuePlaces(volume, settings.project_weights),
            projects=JobProjects(volume),
            counts=counts,
            unfinished=UnfinishedJobs(counts, volume),
            streams=threading.BoundedSemaphore(settings.max_streams),
            streams_of_keys=KeyPlaces(settings.streams_per_key),
            costly_of_keys=KeyPlaces(settings.costly_reads_per_key),
            usage=usage,
            deleted_jobs=DeletedJobs(settings.volume / "past_jobs"),
            sweeps=SweepStates(volume, settings.index_folder),
            parsers=threading.BoundedSemaphore(_MOST_PARSERS),
        )

    @classmethod
    def of(cls, app: Flask) -> "Service":
        """The service of `app`."""
        found = app.extensions[_KEY]
        assert isinstance(found, cls)
        return found


def _choose_queue(settings: Settings) -> JobQueue:
    return RedisQueue(make_celery(settings, _NOTIFY_SECONDS)) if settings.redis_address else OwnQueue(slots=0)


def service() -> Service:
    """The service of the current request."""
    return Service.of(current_app)
