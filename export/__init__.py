"""From a model to what TF Serving, or another runtime, loads.

from r3d_keras.export import publish  # in a checkout: from export import publish

published = publish("run1", "bundle")
print(published)              # how fast, how close to the model, and where
published.card["precision"]   # the model card
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # TensorFlow is imported when something is published, so that the client needs none.
    if name in ("publish", "Published"):
        from . import publishing

        return getattr(publishing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return ["Published", "publish"]
