"""The one exception that means "the user can fix this"."""


class UserError(Exception):
    """A mistake the user can fix.

    The message is one line: what is wrong, where, and what to do. Commands print it without a
    traceback and exit with code 1.
    """
