"""The one exception that means "the user can fix this", and what others say."""

import errno
import os

# What a system refuses to write for: no space, no quota, too large a file, a file system that is only read.
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class UserError(Exception):
    """A mistake the user can fix.

    The message is one line: what is wrong, where, and what to do. Commands print it without a
    traceback and exit with code 1.
    """


def first_line(error: Exception) -> str:
    """Returns the first line of what an exception says; the name of its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def refused_write(error: BaseException) -> OSError | None:
    """Returns the system's refusal to write from which an exception came; None where it came from something else.

    Libraries wrap it, or quote its words: TensorFlow as ResourceExhaustedError, HDF5 as RuntimeError.
    """
    if isinstance(error, UserError):
        return None
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return error
    for code in _REFUSALS:
        if os.strerror(code) in str(error):
            return OSError(code, os.strerror(code))
    cause = error.__cause__ or error.__context__
    return refused_write(cause) if cause else None
