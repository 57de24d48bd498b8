"""How a model is measured."""

from dataclasses import dataclass

from r3d_keras.options import Options, option

AVERAGES = ("probabilities", "logits")


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions(Options):
    """The paper's protocol by default."""

    title = "Protocol"

    split: str | None = option(None, "Split to measure on. Default: validation; test where there is no validation.")
    annotations: str | None = option(
        None, "A csv file with columns path, label and split: the labels of videos that lie in no class folders."
    )
    frame_stride: int | None = option(
        None,
        "Take every second frame of shards (2), every third, ...; by default as the model learned.",
        minimum=1,
    )
    crop: bool = option(True, "See the center of the frames alone, as in the paper; otherwise all of them.")
    average: str = option("probabilities", "What is averaged over the clips of a video.", choices=AVERAGES)
    restrict_classes: bool = option(
        False,
        "Leave classes that the data lacks out of the softmax; otherwise the model may answer with any.",
    )
    batch_size: int = option(16, "Clips scored at once.", minimum=1)
    max_damaged_fraction: float = option(
        0.01, "Stop when more than this part of the split's records is damaged.", minimum=0, maximum=1
    )
