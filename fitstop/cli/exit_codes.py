"""What the exit status of `fitstop` says, so that a script needs no parsing."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Each status has one meaning in every command."""

    OK = 0
    JOB_FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    UNREACHABLE = 5
    REFUSED = 6
    SERVER_ERROR = 7
    UNFIT = 8
    BROKEN_FILE = 9
    INTERRUPTED = 130
