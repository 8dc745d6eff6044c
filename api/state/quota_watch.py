"""Records for each running sweep whether its project has reached a quota of bytes or of a month."""

import logging
import threading

from api.state.project_usage import FRESH_SECONDS, ProjectUsage
from api.state.reached_quotas import find_reached_quotas
from shared.document import UnusableDocument
from shared.project import quota_of
from shared.settings import Settings
from shared.sweep.ended import EndedSweeps
from shared.sweep.folder import SweepFolder, sweep_folder, sweep_ids
from shared.sweep.quota import QuotaWord, is_measured, read_word, say_word
from shared.times import utc_now
from shared.volume import Volume

log = logging.getLogger(__name__)


class QuotaWatch:
    """Checks every ten seconds, if a project has such a quota. Of several API processes, one writes each record."""

    def __init__(self, volume: Volume, usage: ProjectUsage, settings: Settings) -> None:
        self._volume = volume
        self._usage = usage
        self._settings = settings
        self._ended = EndedSweeps(volume)

    def begin(self) -> None:
        """Start the thread that checks."""
        if any(is_measured(quota) for quota in self._settings.project_quotas.values()):
            threading.Thread(target=self._look_forever, name="quotas", daemon=True).start()

    def _look_forever(self) -> None:
        pause = threading.Event()
        while not pause.wait(FRESH_SECONDS):
            try:
                self.look()
            except OSError as error:
                log.warning("the quotas of sweeps cannot be checked now; this is tried again: %s", error)

    def look(self) -> None:
        """Check each sweep that has not ended."""
        there = sweep_ids(self._volume)
        self._ended.look(there)
        for sweep_id in there:
            if sweep_id not in self._ended:
                self._look_at(sweep_folder(self._volume, sweep_id))

    def _look_at(self, sweep: SweepFolder) -> None:
        extensions = sweep.count_extensions()
        if sweep.end_file(extensions).exists():
            self._ended.add(sweep.id, extensions)
            return
        try:
            record = sweep.record()
            if record is not None and is_measured(quota_of(self._settings.project_quotas, record.project)):
                self._check(sweep, record.project)
        except (UnusableDocument, FileNotFoundError) as error:
            log.warning("the quotas of %s are not checked: %s", sweep.id, error)

    def _check(self, sweep: SweepFolder, project: str) -> None:
        if not self._usage.is_known(project):
            return
        quota = quota_of(self._settings.project_quotas, project)
        found = find_reached_quotas(self._usage, quota, project, self._settings.currency)
        number, before = read_word(sweep)
        if bool(found) != (before is not None):
            words = f'the project "{project}" has reached its quota: {"; ".join(found)}' if found else None
            say_word(sweep, number + 1, QuotaWord(said_at=utc_now(), reached=words))
