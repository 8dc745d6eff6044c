"""The parts of a call that cannot be sent, collected to report all at once."""

from collections.abc import Iterable

from fitstop.errors import CannotSend


class Problems:
    """Sentences, each about one thing that cannot be sent."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def add(self, sentence: str) -> None:
        """Remember a problem; the same one again changes nothing."""
        if sentence not in self._found:
            self._found.append(sentence)

    def add_all(self, sentences: Iterable[str]) -> None:
        """Remember several problems."""
        for sentence in sentences:
            self.add(sentence)

    def stop(self) -> None:
        """Raise CannotSend with every problem, if there is one."""
        if self._found:
            raise CannotSend(tuple(self._found))
