"""The one exception that means "the user can fix this", and what others say."""


class UserError(Exception):
    """A mistake the user can fix.

    The message is one line: what is wrong, where, and what to do. Commands print it without a
    traceback and exit with code 1.
    """


def first_line(error: Exception) -> str:
    """Returns the first line of what an exception says; the name of its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
