"""What a model carries with it, to be used rightly wherever it runs."""

from dataclasses import dataclass, field
from typing import Any

from r3d_keras import defaults
from r3d_keras.errors import UserError
from r3d_keras.untrusted import check_types
from r3d_keras.video.recipe import Recipe, modality_of

LARGEST_CLIP = 2**28  # pixels: 64 frames of 2048 x 2048


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation of RGB values or optical flow, on the scale 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


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
