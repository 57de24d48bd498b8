"""How many cores there are for this process: asked here alone."""

import os


def usable_cores() -> int:
    """Returns how many cores this process may run on, at least 1: all of the machine where the system does not say."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
