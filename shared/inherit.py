"""What a job inherits from the job that it continues: its attempt 0, created before the job is stored.

attempts/0/
  spec.json                           that of the job that wrote the resume points
  events.jsonl                        its epochs, rates and checkpoints up to the place where the new job continues
  training_log.csv                    the rows up to there
  checkpoints/, resume/               its files as hard links: they stay when the other job is deleted
  preprocessing.skops, schema.json, prepare.py, inference.json
plan.json                             how both are computed
earlier/                              the model of an earlier job that both start from, if there is one

The other job does not change. A repeated post keeps the files that exist.
"""

from collections.abc import Iterator

from shared.durable import create_file, link_file, make_folder, sync_folder
from shared.earlier_model import find_kept, keep
from shared.events import Event, job_events
from shared.job import JobRecord
from shared.job_folder import AttemptFolder, JobFolder
from shared.mirror.attached import bring
from shared.plain_files import MOST_FILE_BYTES, read_plain
from shared.progress import EpochProgress
from shared.replay import apply_rule, monitored_values, patience_after
from shared.spec import JobSpec

_EPOCH, _RATE, _CHECKPOINT = range(3)
_KEPT = {"epoch": _EPOCH, "learning_rate": _RATE, "checkpoint": _CHECKPOINT}


def inherit(source: AttemptFolder, epochs: int, record: JobRecord, into: JobFolder) -> None:
    """Create attempt 0 of the job `into` from `source`, with the first `epochs` epochs of its run.

    `record` is that of the new job. Raises FileNotFoundError if the other job is deleted meanwhile.
    """
    bring(source.job.path)
    taken = into.inherited
    for name in ("checkpoints", "resume"):
        _link_files(source, taken, name)
    for before, after in (
        (source.inference_file, taken.inference_file),
        (source.extended_spec_file if source.number == 0 else source.job.spec_file, taken.extended_spec_file),
    ):
        link_file(before, after)
    # Images and arrays have no fitted steps, and jobs of older versions may have none of these files.
    for before, after in (
        (source.preprocessing_file, taken.preprocessing_file),
        (source.schema_file, taken.schema_file),
        (source.prepare_file, taken.prepare_file),
    ):
        if before.exists():
            link_file(before, after)
    _copy_rows(source, taken, epochs)
    lines = b"".join(event.line() for event in _inherited_events(source.job, epochs, record))
    create_file(taken.events_file, lines)
    _keep_earlier(source.job, record, into)
    plan = source.job.plan()
    if plan is not None:
        into.keep_to(plan)


def _keep_earlier(job: JobFolder, record: JobRecord, into: JobFolder) -> None:
    """Link the earlier model that both jobs start from, if there is one."""
    earlier = find_kept(job, record)
    if earlier is not None:
        keep(earlier, into, is_final=True)


def _link_files(source: AttemptFolder, taken: AttemptFolder, name: str) -> None:
    make_folder(taken.path / name, within=taken.volume_root / "jobs")
    for file in (source.path / name).iterdir():
        if file.is_file() and not file.name.startswith("."):
            link_file(file, taken.path / name / file.name)
    sync_folder(taken.path / name)


def _copy_rows(source: AttemptFolder, taken: AttemptFolder, epochs: int) -> None:
    """Copy the rows of the log. A link would not do: an attempt that was considered lost may still write its log."""
    log = read_plain(source.training_log, MOST_FILE_BYTES)
    if log is not None:
        create_file(taken.training_log, b"".join(log.splitlines(keepends=True)[: 1 + epochs]))


def _inherited_events(job: JobFolder, epochs: int, record: JobRecord) -> Iterator[Event]:
    """The events of the first `epochs` epochs, each once, and an event that the new job continues after them."""
    last = {}
    for placed in job_events(job):
        epoch, kind = placed.event.data.get("epoch"), _KEPT.get(placed.event.type)
        if kind is not None and isinstance(epoch, int) and epoch <= epochs:
            last[epoch, kind] = placed.event
    told = [EpochProgress.of(last[epoch, _EPOCH].data) for epoch in range(1, epochs + 1)]
    now_judged = {one.epoch: one for one in rejudge(told, record.data_spec)}
    for epoch, kind in sorted(last):
        event = last[epoch, kind]
        data = now_judged[epoch].event_data() if kind == _EPOCH else event.data
        yield Event(event.type, event.message, data, event.level, event.time)
    yield _goes_on(record, epochs)


def rejudge(told: list[EpochProgress], spec: JobSpec) -> list[EpochProgress]:
    """The epochs as they would have been reported if the job had had the settings of `spec` from the start."""
    allowed, stopping = spec.hyperparameters.epochs, spec.callbacks.early_stopping
    if stopping is None:
        return [one.model_copy(update={"epochs": allowed, "early_stopping": None}) for one in told]
    values = monitored_values([one.metrics for one in told], stopping.monitor)
    return [
        one.model_copy(
            update={
                "epochs": allowed,
                "early_stopping": patience_after(one.epoch, allowed, stopping, last, wait),
            }
        )
        for one, (last, wait) in zip(told, apply_rule(values, stopping), strict=True)
    ]


def _goes_on(record: JobRecord, epochs: int) -> Event:
    where = "its best checkpoint" if record.extends_from == "best" else "its last resume point"
    message = f"extends {record.extends} from {where}, after epoch {epochs}"
    facts = {"job": record.extends, "from": record.extends_from, "after_epoch": epochs}
    return Event("extend", message, facts, time=record.created_at)
