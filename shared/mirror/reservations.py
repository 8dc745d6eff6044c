"""Which of two uploads of the same name is the one, in a bucket, where a folder cannot be moved into place.

A reservation is created exclusively and says which process uploads. One that was given up, or whose process has ended
on this machine, is followed by the next one, whose name follows from it: so again exactly one gets it. The uploads of
machines that are gone for good are removed by a look, an hour later.
"""

import json
import secrets
import threading

from shared.job import ProcessIdentity
from shared.mirror.names import RESERVED
from shared.processes import is_gone, this_process
from shared.store.interface import NoAnswer, Store, StoreError


class Reservations:
    """Those of this process, for all its threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_at_a_time = threading.Lock()
        self._to_give_up: dict[str, str] = {}
        # Those whose create got no answer, by the token that they have where they are ours.
        self._unanswered: dict[str, str] = {}

    def reserve(self, folder: str) -> str | None:
        """Reserve a folder for this process; the name of the reservation, or None where another upload has it."""
        token, process = secrets.token_hex(8), this_process()
        ours = json.dumps({"token": token, "process": process and process.model_dump(mode="json")}).encode()
        place = f"{folder}/{RESERVED}"
        while not self._create(place, ours, token):
            standing = self._store.read(place)
            if standing is None:
                # Removed at this moment, with all else that was below the folder.
                return None
            before = json.loads(standing)
            if not _is_over(before):
                return None
            place = f"{folder}/{RESERVED}-{before['token']}"
        return place

    def _create(self, place: str, ours: bytes, token: str) -> bool:
        try:
            return self._store.create(place, ours)
        except NoAnswer:
            with self._one_at_a_time:
                self._unanswered[place] = token
            raise

    def give_up(self, place: str) -> None:
        """Let others have it; where the bucket fails, with one of the next looks."""
        with self._one_at_a_time:
            self._to_give_up[place] = secrets.token_hex(8)
        try:
            self.send()
        except StoreError:
            return

    def send(self) -> None:
        """Give up what could not be given up before. Raises StoreError."""
        with self._one_at_a_time:
            for place, token in list(self._unanswered.items()):
                standing = self._store.read(place)
                if standing is not None and json.loads(standing)["token"] == token:
                    self._to_give_up[place] = secrets.token_hex(8)
                del self._unanswered[place]
            for place, token in list(self._to_give_up.items()):
                self._store.replace(place, [json.dumps({"token": token, "is_given_up": True}).encode()])
                del self._to_give_up[place]


def _is_over(reservation: dict[str, object]) -> bool:
    """Whether its upload has ended, for sure, without having made the folder exist."""
    if reservation.get("is_given_up"):
        return True
    process = reservation.get("process")
    return process is not None and is_gone(ProcessIdentity.model_validate(process))
