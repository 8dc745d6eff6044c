"""Why a copy did not start, or did not finish.

CopyRefused             not started: the message says why, and nothing was changed
CopyFailed              not finished; the same command continues it
"""

from shared.problems import FitstopError


class CopyRefused(FitstopError):
    """The copy was not started."""

    code = "copy_refused"


class CopyFailed(FitstopError):
    """The copy has stopped before it was finished."""

    code = "copy_failed"
