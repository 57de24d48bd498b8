"""How videos are answered."""

from dataclasses import dataclass

from r3d_keras.options import Options, option


@dataclass(frozen=True, kw_only=True)
class ClipOptions(Options):
    """Which clips a model sees of a video."""

    title = "Clips"

    batch_size: int = option(8, "Clips scored at once, of one video or of several.", minimum=1)
    clip_stride: int | None = option(
        None,
        "Frames between two clips of --timeline, --html, --render and --features; by default as in training.",
        minimum=1,
    )


@dataclass(frozen=True, kw_only=True)
class AnswerOptions(ClipOptions):
    """What is said of a video, and what is drawn of it."""

    title = "Answers"

    top_k: int | None = option(
        None,
        "Classes named for each video; 1 by default, of a model with loss=sigmoid all that reach the threshold.",
        minimum=1,
    )
    threshold: float | None = option(
        None,
        "Name no class with a lower score; 0 by default, of a model with loss=sigmoid 0.5.",
        minimum=0,
        maximum=1,
    )
    timeline: str | None = option(None, "Folder for scores per second and segments, as json and plot.")
    segment_threshold: float = option(
        0.5, "Score from which a second of the timeline counts as part of a segment.", minimum=0, maximum=1
    )
    smoothing: float = option(3.0, "Seconds over which the timeline is averaged.", minimum=0)
    html: str | None = option(None, "A .html file: one page with frames, scores and timelines of all videos.")
    render: str | None = option(None, "A .mp4, .mkv or .mov file: the one video given, with its labels and scores.")
    explain: str | None = option(None, "Folder for pictures of what speaks for the answer.")
