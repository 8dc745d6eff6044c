"""Uploads the files of an attempt to the bucket of its volume, in a thread, during its training."""

import errno
import logging
import threading

from shared.job_folder import AttemptFolder
from shared.mirror.attached import mirror_at
from shared.mirror.late import LATE_SECONDS
from shared.mirror.mirror import Mirror
from shared.mirror.push import AttemptPush, OtherDecision
from shared.store.interface import StoreError
from shared.volume import Volume

log = logging.getLogger(__name__)


class Uploads:
    """Uploads new files every `seconds`, from `begin` to `end`. Does nothing for a volume on a filesystem."""

    def __init__(self, volume: Volume, attempt: AttemptFolder, seconds: float) -> None:
        mirror = mirror_at(volume.root)
        assert mirror is None or isinstance(mirror, Mirror)
        self._mirror = mirror
        self._attempt = attempt
        self._seconds = seconds
        self._push: AttemptPush | None = None
        # Whether the bucket has another decision about the attempt than this worker, so that it must stop.
        self.is_refused = False
        self._end = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"uploads of {attempt.job.id}", daemon=True)

    def begin(self) -> None:
        """Start to upload. All files of the job in the bucket must have been downloaded before."""
        if self._mirror is not None:
            self._push = self._begin_push(self._mirror)
            self._thread.start()

    def _begin_push(self, mirror: Mirror) -> AttemptPush:
        mirror.begin_uploads(mirror.name_of(self._attempt.path))
        return AttemptPush(mirror, self._attempt)

    def upload_all(self) -> None:
        """Upload everything that is not in the bucket yet, before the attempt's end is written.

        Raises OtherDecision, and OSError, also while an older upload without an answer may still overwrite this one.
        """
        if self._mirror is None:
            return
        self._end.set()
        # An attempt that failed before its training also has events to upload.
        self._push = self._push or self._begin_push(self._mirror)
        try:
            with self._one_at_a_time:
                self._push.push(is_last=True)
        except StoreError as error:
            raise OSError(errno.EREMOTEIO, str(error), str(self._attempt.path)) from error
        if not self._push.is_settled():
            reason = f"an upload got no answer, and may still be carried out for {LATE_SECONDS:g} s"
            raise OSError(errno.EREMOTEIO, reason, str(self._attempt.path))

    def end(self, *, is_ours: bool) -> None:
        """Stop uploading. After this, the looks at the bucket update the attempt's folder.

        `is_ours`: this worker has recorded the attempt's end. Then files that were removed here are removed from the
        bucket, too. Otherwise the folder gets the bucket's files, because what was not uploaded does not count.
        """
        self._end.set()
        if self._mirror is None:
            return
        name = self._mirror.name_of(self._attempt.path)
        with self._one_at_a_time:
            try:
                if is_ours and self._push is not None:
                    self._push.push(is_last=True)
                    self._push.finish()
            except (OSError, StoreError) as error:
                log.warning("leftovers of %s stay in the bucket: %s", self._attempt.job.id, error)
            if is_ours:
                self._mirror.release(name)
                return
            self._mirror.discard(self._attempt.path)
        try:
            self._mirror.refresh(self._attempt.job.path)
        except OSError as error:
            log.warning("the next look brings what %s is: %s", self._attempt.job.id, error)

    def _run(self) -> None:
        while not self._end.wait(self._seconds):
            try:
                with self._one_at_a_time:
                    if self._push is not None and self._mirror is not None and not self._end.is_set():
                        self._push.push()
                        # Now and not with the next look, because a client waits for these rows.
                        self._mirror.send_hints()
            except OtherDecision as error:
                log.warning("%s attempt %d stops: %s", self._attempt.job.id, self._attempt.number, error)
                self.is_refused = True
                return
            except (OSError, StoreError) as error:
                # The next round tries again. The heartbeat decides whether the attempt continues.
                log.warning("files of %s were not uploaded: %s", self._attempt.job.id, error)
