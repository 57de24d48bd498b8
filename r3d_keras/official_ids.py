"""How the official files of data sets call a video, and how our samples of it are called."""

from r3d_keras.video.listing import TEST

ACTIVITYNET, KINETICS = "activitynet", "kinetics"


def activitynet_sample(video_id: str, segment: int | None = None) -> str:
    """Returns the id of an annotated segment of a video, counted from 0, or of the whole video: v_ID_0, v_ID."""
    return f"v_{video_id}" if segment is None else f"v_{video_id}_{segment}"


def kinetics_sample(youtube_id: str, start: float, end: float) -> str:
    """Returns the id of the part of a video between two times in seconds, the name of its file: ID_000012_000022."""
    return f"{youtube_id}_{int(start):06d}_{int(end):06d}"


def official_id(dataset: str, split: str, sample: str) -> str:
    """Returns the id that the official files of a data set give the video of a sample; the sample's id without any."""
    if dataset == ACTIVITYNET:
        video = sample.removeprefix("v_")
        return video if split == TEST else video.rpartition("_")[0]
    return without_times(sample) if dataset == KINETICS else sample


def without_times(sample: str) -> str:
    """Returns the YouTube id of what `kinetics_sample` returns, and any other text as it is."""
    video, *times = sample.rsplit("_", 2)
    return video if len(times) == 2 and all(len(time) >= 6 and time.isdecimal() for time in times) else sample
