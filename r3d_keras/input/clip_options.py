"""The options of training clips: which frames of a video make one, and what happens to it.

Nothing heavy is imported here, so that `--help` of the training command answers at once.
"""

from dataclasses import dataclass

from r3d_keras.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """How clips are taken from videos. The frames between every `frame_stride`-th one are left out first.

    A video that is shorter than a clip is looped. An epoch of "uniform" clips draws each start with equal probability
    (the authors' code never takes the last one); "windows" counts a video in proportion to its length, and is what
    evaluation sees too. The stride is that of training and validation alike (in the authors' code of training alone).

    Example:
        Sampling(sampling="uniform", frame_stride=2)
    """

    title = "Clips"

    sampling: str = option(
        "windows",
        "Clips of an epoch: every window of each video, one clip of each video that begins anywhere (the paper's), or "
        "one from its middle.",
        choices=("windows", "uniform", "center"),
    )
    frame_stride: int = option(1, "Take every second frame with 2, and so on; in validation too.", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Augmentation(Options):
    """What training does to a clip beyond resizing it.

    The crops "corner", "random" and "center" are squares of five scales: at a corner or the center, anywhere, or at
    the center ("center" of 2020 is the view of the evaluation instead). "random_resized" is a quarter to all of the
    frame with an aspect of 3/4 to 4/3. Without `antialias` and with `scaled_decoding` the pixels are no longer those
    of PIL, which the authors' code uses.

    Example:
        Augmentation(crop="random_resized", flip=False, color_jitter=0.2)
    """

    title = "Augmentation"

    crop: str = option(
        "center",
        "Part of the frame that a training clip shows; the paper's is corner, center is what evaluation sees.",
        choices=("corner", "random", "random_resized", "center"),
    )
    crop_generation: int = option(
        2020, "Whose code the crops are rounded as: the authors' of which year.", choices=(2018, 2020)
    )
    flip: bool = option(True, "Mirror half of the clips; turn it off where left and right matter.")
    color_jitter: float = option(
        0.0, "Change brightness, contrast and saturation by up to this part.", minimum=0, maximum=1
    )
    antialias: bool = option(True, "Shrink training clips smoothly, as the authors' code does; faster without.")
    scaled_decoding: bool = option(
        False, "Let the decoder shrink crops of twice frame_size or more: faster for large frames."
    )
