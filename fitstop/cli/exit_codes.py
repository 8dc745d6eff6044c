"""The exit statuses of `fitstop`, for scripts."""

from enum import IntEnum

from fitstop.errors import ClientError, Denied, NotFound, Refused, Unreachable, Unsendable


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


# The meaning of each status in `fitstop --help`.
MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.JOB_FAILED: "a watched job failed or was cancelled; the test of a webhook failed",
    ExitCode.USAGE: "wrong usage",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.DENIED: "the API key is missing, wrong, or not allowed to do this",
    ExitCode.UNREACHABLE: "no answer from the service",
    ExitCode.REFUSED: "the request is not valid",
    ExitCode.SERVER_ERROR: "the service failed",
    ExitCode.UNFIT: "doctor found a problem",
    ExitCode.BROKEN_FILE: "a file or the output cannot be read or written",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def exit_code(error: ClientError) -> ExitCode:
    """The exit status of a command that fails with this error."""
    statuses = {
        Unreachable: ExitCode.UNREACHABLE,
        NotFound: ExitCode.NOT_FOUND,
        Denied: ExitCode.DENIED,
        Refused: ExitCode.REFUSED,
        Unsendable: ExitCode.BROKEN_FILE,
    }
    return statuses.get(type(error), ExitCode.SERVER_ERROR)
