"""From raw pixel values to what a network was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import ops

from r3d_keras.errors import UserError


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation of RGB values, on the scale 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def _on_255_scale(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(255.0 * value for value in values)


# The published weights of 2017-18 were trained with the ActivityNet mean and no division, those of 2020 with
# the Kinetics mean and standard deviation on the scale 0 to 1 (option defaults of the reference's two branches);
# torchvision's video models with numbers of its own.
NORMALIZATIONS = {
    "activitynet-2018": Normalization(mean=(114.7748, 107.7354, 99.4750), std=(1.0, 1.0, 1.0)),
    "kinetics-2020": Normalization(
        mean=_on_255_scale((0.4345, 0.4051, 0.3775)), std=_on_255_scale((0.2768, 0.2713, 0.2737))
    ),
    "torchvision": Normalization(
        mean=_on_255_scale((0.43216, 0.394666, 0.37645)), std=_on_255_scale((0.22803, 0.22145, 0.216989))
    ),
}


def find_normalization(normalization: str | Normalization, input_channels: int = 3) -> Normalization:
    """Returns the normalisation of that name for so many channels, or the given one.

    Two channels (optical flow) take the first two numbers, as in the authors' code. Raises UserError for an unknown
    name, or when mean, standard deviation and channels differ in number.
    """
    if isinstance(normalization, str):
        if normalization not in NORMALIZATIONS:
            raise UserError(f"unknown normalization {normalization!r}; known: {', '.join(NORMALIZATIONS)}")
        named = NORMALIZATIONS[normalization]
        normalization = Normalization(named.mean[:input_channels], named.std[:input_channels])
    lengths = {len(normalization.mean), len(normalization.std), input_channels}
    if len(lengths) > 1:
        raise UserError(
            f"{input_channels} input channels need {input_channels} means and standard deviations, not "
            f"{len(normalization.mean)} and {len(normalization.std)}"
        )
    return normalization


@keras.saving.register_keras_serializable("r3d_keras")
class ClipNormalization(keras.layers.Layer):
    """(value - mean) / std for each channel of raw clips [..., channels], uint8 or 0 to 255; float32 out.

    It computes in float32 whatever the precision of the rest: bfloat16 could not tell the means apart.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)

    def call(self, clips):
        centred = ops.cast(clips, "float32") - ops.array(self.mean, dtype="float32")
        if all(value == 1.0 for value in self.std):
            return centred
        return centred / ops.array(self.std, dtype="float32")

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std}
