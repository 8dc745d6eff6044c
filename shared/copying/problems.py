"""Why a copy did not start, or did not finish.

CopyRefused             not begun: the message says why, and nothing was changed
CopyFailed              not finished; the same command continues it
"""

from shared.problems import FitstopError


class CopyRefused(FitstopError):
    """The copy was not begun."""

    code = "copy_refused"


class CopyFailed(FitstopError):
    """The copy has stopped before its end."""

    code = "copy_failed"
