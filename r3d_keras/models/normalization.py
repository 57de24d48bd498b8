"""From raw pixel values to what a network was trained on."""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
from keras import ops

from r3d_keras.errors import UserError
from r3d_keras.metadata import Normalization


def _on_255_scale(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(255.0 * value for value in values)


# The published weights of 2017-18 were trained with the ActivityNet mean and no division, those of 2020 with
# the Kinetics mean and standard deviation on the scale 0 to 1 (option defaults of the reference's two branches);
# torchvision's video models with numbers of its own, its models of pictures with those of ImageNet. I3D's pixels and
# its flow, cut at 20 pixels, are on the scale -1 to 1; stored flow has 127 levels on either side of 128.
NORMALIZATIONS = {
    "activitynet-2018": Normalization(mean=(114.7748, 107.7354, 99.4750), std=(1.0, 1.0, 1.0)),
    "kinetics-2020": Normalization(
        mean=_on_255_scale((0.4345, 0.4051, 0.3775)), std=_on_255_scale((0.2768, 0.2713, 0.2737))
    ),
    # Flow is stored around 128; its values stay as far from 0 as those of RGB with the 2018 normalization.
    "flow": Normalization(mean=(128.0, 128.0), std=(1.0, 1.0)),
    "torchvision": Normalization(
        mean=_on_255_scale((0.43216, 0.394666, 0.37645)), std=_on_255_scale((0.22803, 0.22145, 0.216989))
    ),
    "imagenet": Normalization(mean=_on_255_scale((0.485, 0.456, 0.406)), std=_on_255_scale((0.229, 0.224, 0.225))),
    "imagenet-flow": Normalization(mean=(128.0,) * 2, std=_on_255_scale((0.226,) * 2)),
    "i3d": Normalization(mean=(127.5,) * 3, std=(127.5,) * 3),
    "i3d-flow": Normalization(mean=(128.0,) * 2, std=(127.0,) * 2),
}


def normalization_for_channels(normalization: Normalization, channels: int) -> Normalization:
    """Returns the normalization of `channels` of optical flow for weights that were trained with another.

    No motion is 0, and the scale is the mean of theirs, so that the values stay as far from 0 (Wang et al. 2016).
    """
    scale = sum(normalization.std) / len(normalization.std)
    return Normalization((128.0,) * channels, (scale,) * channels)


def find_normalization(normalization: str | Normalization, input_channels: int = 3) -> Normalization:
    """Returns the normalization of that name for so many channels, the one in a .json file, or the given one.

    The file holds `mean` and `std` on the scale 0 to 255, as `r3d inspect --statistics` writes it. Two
    channels (optical flow) take the first two numbers of a name, as in the authors' code. Raises UserError for an
    unknown name, a file that cannot be read, or when mean, standard deviation and channels differ in number.
    """
    given = normalization
    if isinstance(normalization, str) and normalization.endswith(".json"):
        normalization = _read_normalization(normalization)
    elif isinstance(normalization, str):
        if normalization not in NORMALIZATIONS:
            raise UserError(
                f"unknown normalization {normalization!r}; known: {', '.join(NORMALIZATIONS)}, or a .json file"
            )
        named = NORMALIZATIONS[normalization]
        normalization = Normalization(named.mean[:input_channels], named.std[:input_channels])
    lengths = {len(normalization.mean), len(normalization.std), input_channels}
    if len(lengths) > 1:
        raise UserError(
            f"normalization={given} has {len(normalization.mean)} means and {len(normalization.std)} standard "
            f"deviations, and there are {input_channels} input channels"
        )
    return normalization


def _read_normalization(path: str) -> Normalization:
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        read = Normalization(*(tuple(float(value) for value in values[name]) for name in ("mean", "std")))
    except OSError as error:
        raise UserError(f"cannot read the normalization {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no normalization: lists of numbers `mean` and `std` are expected") from error
    if not all(value > 0 for value in read.std):
        raise UserError(f"{path}: a standard deviation must be above 0, not {min(read.std)}")
    return read


@keras.saving.register_keras_serializable("r3d_keras")
class ClipNormalization(keras.layers.Layer):
    """(value - mean) / std for each channel of raw clips [..., channels], uint8 or 0 to 255; float32 out.

    It computes in float32 whatever the precision of the rest: bfloat16 could not tell the means apart. It also keeps
    the `metadata` of its model, as JSON.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], metadata: str | None = None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.metadata = metadata
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)

    def call(self, clips):
        centered = ops.cast(clips, "float32") - ops.array(self.mean, dtype="float32")
        if all(value == 1.0 for value in self.std):
            return centered
        return centered / ops.array(self.std, dtype="float32")

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std, "metadata": self.metadata}
