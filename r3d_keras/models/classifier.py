"""The model class: a functional Keras model that knows what it was made for."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from r3d_keras import defaults
from r3d_keras.errors import UserError
from r3d_keras.models.normalization import ClipNormalization, Normalization
from r3d_keras.untrusted import check_types
from r3d_keras.video.recipe import Recipe, modality_of

LARGEST_CLIP = 2**28  # pixels: 64 frames of 2048 x 2048


@dataclass(frozen=True)
class Metadata:
    """What a model must carry to be used rightly.

    architecture  name as in `build_model`, for example "resnet-18"
    arguments     the architecture's own arguments (shortcut, widen_factor, ...)
    num_classes   length of the logits; 0 of a model without a head, which gives features
    label_names   names of the classes in the order of the logits; empty when unknown
    recipe        how the clips it was trained on were made of videos
    frame_size    height and width of a clip it was trained on, in pixels
    normalization mean and standard deviation its first layer applies, on the scale 0 to 255
    origin        where the weights come from, in words
    learned_from  digests of the videos that it was trained on (see `video_digest`), where they and the held-out ones
                  lie in the same folders
    loss          by which it learns, one of `defaults.LOSSES`: probabilities are the softmax of the logits, or the
                  sigmoid of each
    """

    architecture: str
    arguments: dict[str, Any] = field(default_factory=dict)
    num_classes: int = 0
    label_names: tuple[str, ...] = ()
    recipe: Recipe = field(default_factory=Recipe)
    frame_size: int = defaults.FRAME_SIZE
    normalization: Normalization = field(default_factory=lambda: Normalization((0.0,) * 3, (1.0,) * 3))
    origin: str = ""
    learned_from: tuple[str, ...] = ()
    loss: str = defaults.SOFTMAX

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Metadata":
        """Rebuilds what `dataclasses.asdict` gave, after a journey through JSON too.

        A model that was saved before models had recipes knows the frames of a clip alone: the rest is taken as usual.
        Raises ValueError, UserError, KeyError, TypeError or AttributeError for anything else, and for clips that no
        machine could hold.
        """
        values = dict(values)
        check_types(cls, values)
        clip_frames = values.pop("clip_frames", None)
        normalization = Normalization(**{key: tuple(value) for key, value in values["normalization"].items()})
        check_types(Normalization, vars(normalization))
        if "recipe" in values:
            recipe = Recipe.from_dict(values["recipe"])
        else:
            recipe = Recipe(clip_frames=clip_frames, modality=modality_of(len(normalization.mean)))
        for name in ("label_names", "learned_from"):
            values[name] = tuple(values.get(name, ()))
        labels, pixels = values["label_names"], recipe.clip_frames * values["frame_size"] ** 2
        if values["frame_size"] < 1 or pixels > LARGEST_CLIP:
            raise ValueError(f"a clip of {recipe.clip_frames} frames of {values['frame_size']} pixels cannot be held")
        if labels and len(labels) != values["num_classes"]:
            raise ValueError(f"it has {len(labels)} label names for {values['num_classes']} classes")
        if values.get("loss", defaults.SOFTMAX) not in defaults.LOSSES:
            raise ValueError(f"its loss is {values['loss'][:60]!r}, not one of {', '.join(defaults.LOSSES)}")
        return cls(**{**values, "recipe": recipe, "normalization": normalization})

    @property
    def clip_frames(self) -> int:
        """Frames of a clip."""
        return self.recipe.clip_frames

    def check_label_names(self, name: str) -> None:
        """Raises UserError when the model, called `name` in the error, cannot answer with names of classes."""
        if not self.label_names and not self.num_classes:
            raise UserError(f"{name} has no head: it gives features alone, until r3d train has trained it on videos")
        if not self.label_names:
            raise UserError(f"{name} has no label names: convert it again with its labels")

    @property
    def channels(self) -> int:
        """Channels of a clip: 3 of RGB, 2 of optical flow, 1 of gray."""
        return len(self.normalization.mean)


@keras.saving.register_keras_serializable("r3d_keras")
class ClipClassifier(keras.Model):
    """A functional model from raw clips to logits, with `metadata` that survives saving and loading.

    Input: [batch, frames, height, width, channels], uint8 or float 0 to 255. Output: float32 logits
    [batch, classes]; of a model without a head, features [batch, channels].
    """

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """See `keras.Model`. A model of an earlier version holds its metadata here, not in its first layer."""
        config = dict(config)
        metadata = config.pop("metadata", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if metadata is not None:
            model.metadata = Metadata.from_dict(metadata)
        return model

    @property
    def metadata(self) -> Metadata:
        """What the model was made for; its first layer keeps it, so that every clone of the layers has it too."""
        text = self._first_layer().metadata
        if text is None:
            raise AttributeError("the model has no metadata yet")  # what Keras expects while it is set
        return Metadata.from_dict(json.loads(text))

    @metadata.setter
    def metadata(self, metadata: Metadata) -> None:
        self._first_layer().metadata = json.dumps(asdict(metadata), ensure_ascii=False)

    def _first_layer(self) -> ClipNormalization:
        return next(layer for layer in self.layers if isinstance(layer, ClipNormalization))
