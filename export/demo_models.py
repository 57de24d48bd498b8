"""The model behind the page, in this process or on a server: clips to scores, and the picture of a clip."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.prediction.clip_picture import clip_picture
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.recipe import Recipe

from .remote_videos import answer_clips
from .server_access import Server

CLIPS_AT_ONCE = 8


class AskedModel(Protocol):
    """What answers: its name for people, how clips are made for it, and its labels by their index."""

    name: str
    recipe: Recipe
    label_names: Sequence[str]

    def scores(self, clips: VideoClips) -> tuple[np.ndarray, np.ndarray]:
        """Returns float64 [clips, 2], beginning and end of each clip in seconds, and float32 [clips, classes].

        No clips come of a video that cannot be read: `clips.reason` then says why.
        """

    def picture(self, frames: list[bytes], label: int) -> tuple[np.ndarray, bool]:
        """Returns `clip_picture` of a clip's JPEG files, and whether it shows what speaks for the class `label`."""


class LoadedModel:
    """A .keras file, a run's folder or a bundle. See `AskedModel`."""

    def __init__(self, path: str | Path):
        from r3d_keras.prediction.scorer import load_scorer

        self._scorer = load_scorer(path)
        self.name, self.recipe = str(path), self._scorer.metadata.recipe
        self.label_names = self._scorer.metadata.label_names
        self._scorer.metadata.check_label_names(f"the model {path}")

    def scores(self, clips: VideoClips) -> tuple[np.ndarray, np.ndarray]:
        from r3d_keras.prediction.videos import clip_values

        (values,) = clip_values([clips], self._scorer.probabilities, self._scorer.metadata, CLIPS_AT_ONCE)
        return values.times, values.values

    def picture(self, frames: list[bytes], label: int) -> tuple[np.ndarray, bool]:
        from r3d_keras.input.views import view_frames
        from r3d_keras.prediction.explanation import activation_maps

        view = view_frames(frames, self._scorer.metadata.frame_size, self._scorer.metadata.channels)
        if self._scorer.model is None:
            return clip_picture(view), False
        try:
            return clip_picture(view, activation_maps(self._scorer.model, view, label)), True
        except UserError:  # it has no average pooling before its head
            return clip_picture(view), False


class ServedModel:
    """A model on a server. See `AskedModel`."""

    def __init__(self, server: Server, name: str):
        self._server, self.name = server, name
        description = server.describe()
        self.recipe, self.label_names = description.recipe, description.label_names
        if not self.label_names:
            raise UserError(f"the model {name} does not tell its labels: export it again")

    def scores(self, clips: VideoClips) -> tuple[np.ndarray, np.ndarray]:
        times, values = [np.zeros((0, 2))], [np.zeros((0, len(self.label_names)), np.float32)]
        for part, outputs in answer_clips(self._server, clips):
            times.append(np.array([(clip.begin, clip.end) for clip in part]))
            values.append(outputs["probabilities"])
        return np.minimum(np.concatenate(times), clips.duration), np.concatenate(values)

    def picture(self, frames: list[bytes], label: int) -> tuple[np.ndarray, bool]:
        import simplejpeg

        return clip_picture(np.stack([simplejpeg.decode_jpeg(frame) for frame in frames])), False
