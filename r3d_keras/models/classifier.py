"""The model class: a functional Keras model that knows what it was made for."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import keras

from r3d_keras.models.normalization import Normalization


@dataclass(frozen=True)
class Metadata:
    """What a model must carry to be used rightly.

    architecture  name as in `build_model`, for example "resnet-18"
    arguments     the architecture's own arguments (shortcut, widen_factor, ...)
    num_classes   length of the logits
    label_names   names of the classes in the order of the logits; empty when unknown
    clip_frames   frames of a clip it was trained on
    frame_size    height and width of a clip it was trained on, in pixels
    normalization mean and standard deviation its first layer applies, on the scale 0 to 255
    origin        where the weights come from, in words
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    num_classes: int = 0
    label_names: tuple[str, ...] = ()
    clip_frames: int = 16
    frame_size: int = 112
    normalization: Normalization = field(default_factory=lambda: Normalization((0.0,) * 3, (1.0,) * 3))
    origin: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Metadata":
        """Rebuilds what `dataclasses.asdict` gave, after a journey through JSON too."""
        normalization = Normalization(**{key: tuple(value) for key, value in values["normalization"].items()})
        return cls(**{**values, "label_names": tuple(values["label_names"]), "normalization": normalization})


@keras.saving.register_keras_serializable("r3d_keras")
class ClipClassifier(keras.Model):
    """A functional model from raw clips to logits, with `metadata` that survives saving and loading.

    Input: [batch, frames, height, width, channels], uint8 or float 0 to 255. Output: float32 logits
    [batch, classes].
    """

    metadata: Metadata

    def get_config(self):
        return {**super().get_config(), "metadata": asdict(self.metadata)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        metadata = Metadata.from_dict(config.pop("metadata"))
        model = super().from_config(config, custom_objects=custom_objects)
        model.metadata = metadata
        return model

    def describe_origin(self, origin: str) -> None:
        """Sets where the weights come from."""
        self.metadata = replace(self.metadata, origin=origin)
