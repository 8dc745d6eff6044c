"""Decides which of two uploads of the same name wins, in a bucket, where a folder cannot be moved into place.

A reservation is created exclusively and says which process uploads. If it was given up, or its process has ended on
this machine, the next reservation follows. Its name contains the token of the one before, so exactly one process gets
it. A look removes the uploads of machines that are permanently gone, an hour later.
"""

import json
import secrets
import threading

from shared.job import ProcessIdentity
from shared.mirror.names import RESERVED
from shared.processes import is_gone, this_process
from shared.store.interface import NoAnswer, Store, StoreError


class Reservations:
    """The reservations of this process, for all its threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_at_a_time = threading.Lock()
        self._to_give_up: dict[str, str] = {}
        # Places whose create got no answer, with the token that they have if they are ours.
        self._unanswered: dict[str, str] = {}

    def reserve(self, folder: str) -> str | None:
        """Reserve a folder for this process. The name of the reservation; None if another upload has the folder."""
        token, process = secrets.token_hex(8), this_process()
        ours = json.dumps({"token": token, "process": process and process.model_dump(mode="json")}).encode()
        place = f"{folder}/{RESERVED}"
        while not self._create(place, ours, token):
            standing = self._store.read(place)
            if standing is None:
                # Removed just now, with everything else below the folder.
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
        """Give up a reservation. If the bucket fails, one of the next looks does it."""
        with self._one_at_a_time:
            self._to_give_up[place] = secrets.token_hex(8)
        try:
            self.send()
        except StoreError:
            return

    def send(self) -> None:
        """Give up the reservations that could not be given up before. Raises StoreError."""
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
    """Whether its upload has certainly ended: it was given up, or its process is gone."""
    if reservation.get("is_given_up"):
        return True
    process = reservation.get("process")
    return process is not None and is_gone(ProcessIdentity.model_validate(process))
