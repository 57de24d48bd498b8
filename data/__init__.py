"""From videos to shards of clips.

    from r3d_keras.data import inspect, prepare  # in a checkout: from data import ...

    if __name__ == "__main__":  # worker processes import this file
        print(prepare("videos", "shards", workers=4))
        print(inspect("shards"))

Modules named by a verb (`prepare`, `inspect`) are commands and are never imported: these names are functions.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # On demand: a command that only prints its help loads neither OpenCV nor TensorFlow.
    if name == "prepare":
        from .preparation import prepare

        return prepare
    if name == "cross_validate":
        from .cross_validation import cross_validate

        return cross_validate
    if name == "inspect":
        from .inspection import inspect

        return inspect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["cross_validate", "inspect", "prepare"]
