"""What the page shows of a video or of the camera, as values of JSON."""

import base64
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg

from r3d_keras.errors import UserError
from r3d_keras.prediction.clip_picture import FRAMES_SHOWN
from r3d_keras.prediction.timeline import scores_per_second
from r3d_keras.video.clips import Clip, VideoClips
from r3d_keras.video.decoding import USUAL_RATE
from r3d_keras.video.sources import JpegFrames

from .demo_models import AskedModel

BEST, CLASSES_DRAWN = 5, 6
LIVE_SECONDS, LONGEST_LIVE_SECONDS = 2.0, 10.0
LARGEST_LIVE_FRAME, MOST_LIVE_FRAMES = 1280, 600
# Up to this many seconds a timeline has a point for each quarter of a second, beyond for each second.
FINE_SECONDS, FINE_STEPS = 60.0, 4


@dataclass(frozen=True)
class Limits:
    """Of the videos that the page takes."""

    megabytes: int = 200
    seconds: float = 180.0


class BoundedClips(VideoClips):
    """Clips of a video that raise UserError where it is longer than `max_seconds`, whatever its header says."""

    max_seconds = Limits.seconds

    def __iter__(self) -> Iterator[Clip]:
        for clip in super().__iter__():
            if clip.begin >= self.max_seconds:
                raise UserError(f"it is longer than {self.max_seconds:g} seconds, the most that this page takes")
            yield clip


class Answers:
    """Asks a model, one video at a time however many people ask."""

    def __init__(self, model: AskedModel, limits: Limits):
        self.model, self.limits = model, limits
        self._lock = threading.Lock()
        recipe = model.recipe
        rate = recipe.frame_rate or (recipe.source_rates[1] if recipe.source_rates else USUAL_RATE)
        # Cameras have rates of their own: their frames are taken at that of the training videos.
        self._live_recipe = replace(recipe, frame_rate=rate, clip_stride=recipe.clip_frames)
        self._clip_seconds = recipe.clip_frames * recipe.frame_stride / rate

    @property
    def live(self) -> dict[str, float]:
        """How the page takes pictures of the camera: seconds to look back, frames a second, short side in pixels."""
        seconds = min(max(LIVE_SECONDS, self._clip_seconds), LONGEST_LIVE_SECONDS)
        recipe = self._live_recipe
        return {"seconds": seconds, "rate": min(recipe.frame_rate, 30.0), "side": min(recipe.short_side, 240)}

    def of_video(self, path: Path) -> dict[str, Any]:
        """Returns what the page shows of a video file. Raises UserError, without the path, when it cannot be read."""
        clips = BoundedClips(path, self.model.recipe)
        clips.max_seconds = self.limits.seconds
        with self._lock:
            times, values = self.model.scores(clips)
            if not len(values):
                raise UserError(clips.reason or "it has no frames")
            mean = values.mean(axis=0)
            best = np.argsort(-mean, kind="stable")
            surest = int(values[:, best[0]].argmax())
            clip = next(islice(VideoClips(path, self.model.recipe), surest, None))
            picture, is_explained = self.model.picture(clip.frames, int(best[0]))
        return {
            "duration": round(float(clips.duration), 3),
            "clips": len(values),
            "classes": self._named(mean, best[:BEST]),
            "timeline": self._timeline(times, values, clips.duration),
            "surest": {
                "begin": float(times[surest, 0]),
                "end": float(times[surest, 1]),
                "score": float(values[surest, best[0]]),
                "is_explained": is_explained,
                "frames": min(FRAMES_SHOWN, len(clip.frames)),
                "picture": _png(picture),
            },
            "notes": [note for note in (clips.reason, clips.warning) if note],
        }

    def of_camera(self, frames: Sequence[bytes], times: Sequence[float]) -> list[float]:
        """Returns the score of every class for the last seconds of a camera.

        Args:
            frames: JPEG files.
            times: of each in seconds, rising.

        Raises UserError when they are nothing of that kind.
        """
        _check_live(frames, times)
        clips = max(1, int(self.live["seconds"] / self._clip_seconds + 1e-6))
        first = np.searchsorted(times, times[-1] - clips * self._clip_seconds)
        frames, times = frames[first:], times[first:]
        source = JpegFrames(frames, len(frames), times=times)
        with self._lock:
            _, values = self.model.scores(VideoClips(source, self._live_recipe))
        if not len(values):
            raise UserError("the camera's pictures cannot be read")
        return values[:clips].mean(axis=0).tolist()  # one more would be a single frame, looped

    def _named(self, scores: np.ndarray, indexes: np.ndarray) -> list[dict[str, Any]]:
        return [{"label": self.model.label_names[index], "score": float(scores[index])} for index in indexes]

    def _timeline(self, times: np.ndarray, values: np.ndarray, duration: float) -> dict[str, Any]:
        steps = FINE_STEPS if duration <= FINE_SECONDS else 1
        scores = scores_per_second(times * steps, values, smoothing=0)
        drawn = np.argsort(-scores.max(axis=0), kind="stable")[:CLASSES_DRAWN]
        drawn = drawn[np.argsort(-scores[:, drawn].mean(axis=0), kind="stable")]
        names = [self.model.label_names[index] for index in drawn]
        return {"step": 1 / steps, "labels": names, "scores": scores[:, drawn].T.astype(float).round(4).tolist()}


def _check_live(frames: Sequence[bytes], times: Sequence[float]) -> None:
    if not 2 <= len(frames) == len(times) <= MOST_LIVE_FRAMES or not np.all(np.diff(times) > 0):
        raise UserError(f"2 to {MOST_LIVE_FRAMES} pictures with rising times are expected")
    if times[-1] - times[0] > 2 * LONGEST_LIVE_SECONDS:
        raise UserError(f"more than {2 * LONGEST_LIVE_SECONDS:g} seconds at once")
    try:
        sizes = {size for frame in frames for size in simplejpeg.decode_jpeg_header(frame)[:2]}
    except ValueError as error:
        raise UserError("the camera's pictures must be JPEG files") from error
    if max(sizes) > LARGEST_LIVE_FRAME:
        raise UserError(f"the camera's pictures may have {LARGEST_LIVE_FRAME} pixels a side at most")


def _png(picture: np.ndarray) -> str:
    """Returns uint8 [height, width, 3] RGB as the address of a picture that holds it."""
    file = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(file).decode('ascii')}"
