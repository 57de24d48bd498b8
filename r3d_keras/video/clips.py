"""A video and a recipe to clips: the one place where clips are cut."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from r3d_keras.errors import UserError
from r3d_keras.video.conversion import encode_flow
from r3d_keras.video.decoding import USUAL_RATE
from r3d_keras.video.listing import Segment
from r3d_keras.video.optical_flow import flow_pictures
from r3d_keras.video.recipe import FLOW, Recipe
from r3d_keras.video.resampling import at_frame_rate
from r3d_keras.video.sources import Frame, FrameSource, JpegFrames, open_source
from r3d_keras.video.windows import windows

# A header's count is often off by some frames: that is not worth a word.
DAMAGED_BELOW = 0.9
# Annotated ends are rounded: one that lies this much beyond the video, in seconds, is not worth a word either.
END_TOLERANCE = 1.0
NO_FRAMES = "no frame could be decoded (empty, or damaged at its beginning; codec {})"


@dataclass(frozen=True)
class Clip:
    """One clip of a video.

    frames       `clip_frames` JPEG files of one size
    index        its number among the clips of the video, from 0
    first_frame  counted from the beginning of the sample, after resampling and before the frame stride
    end_frame    the frame after its last one, counted alike; what is looped does not count
    begin, end   in seconds from the first frame of the video
    frame_rate   of the frames that `first_frame` counts; 0 when unknown
    """

    frames: list[bytes]
    index: int
    first_frame: int
    end_frame: int
    begin: float
    end: float
    frame_rate: float


class VideoClips:
    """Iterates over the clips of a sample, one window in memory at a time.

    Every frame is shrunk and encoded once; a looped last window repeats the encoded bytes. Raises nothing on a bad
    file: `reason` then says what was wrong with it.

    Args:
        video: a video file, address or camera, a folder of extracted frames, an .hdf5 file of them, or JpegFrames.
        segment: the part of it to take; None for all of it.

    Attributes, complete after the iteration:
        reason: what was wrong with the video; None when nothing was.
        is_kept: whether the clips that came are to be kept.
        warning: a line about its frame rate, see `Recipe.rate_warning`; None without one.
        frame_rate: of the video; 0 when unknown.
        frame_count: frames of the sample, after resampling and before the frame stride.
        duration: seconds from the first frame to the end of the last one that was looked at.
    """

    def __init__(self, video: Path | str | int | JpegFrames, recipe: Recipe, segment: Segment | None = None):
        self.video, self.recipe = video, recipe
        self._segment = segment
        self._reset()

    def _reset(self) -> None:
        self.reason: str | None = None
        self.is_kept = True
        self.warning: str | None = None
        self.frame_rate = self.duration = 0.0
        self.frame_count = self._decoded_frames = 0

    def __iter__(self) -> Iterator[Clip]:
        self._reset()
        try:
            source = open_source(self.video)
        except (UserError, OSError) as error:
            self._leave_out(str(error).removesuffix(f": {self.video}"))
            return
        try:
            yield from self._clips(source)
        finally:
            source.close()

    def encoded_frames(self, source: FrameSource) -> Iterator[tuple[float, bytes]]:
        """Yields the frames that clips are made of, one after the other: time in seconds, and JPEG file.

        Nothing comes where the recipe cannot be followed, see `reason`.
        """
        recipe, segment = self.recipe, self._segment
        self.frame_rate = source.frame_rate
        if segment and segment.end is not None and segment.end <= segment.start:
            return self._leave_out(f"a segment of no length, {segment.start:g} s to {segment.end:g} s")
        if segment and not source.frame_rate:
            return self._leave_out("its times are unknown, so no segment of it can be taken")
        if recipe.frame_rate and not source.frame_rate:
            return self._leave_out(f"its times are unknown, so {recipe.frame_rate:g} frames a second cannot be taken")
        self.warning = recipe.rate_warning(source.frame_rate)
        frames = self._selected(source)
        if recipe.frame_rate:
            frames = at_frame_rate(frames, recipe.frame_rate)
        yield from self._encoded(self._counted(frames))
        if self._decoded_frames == 0:
            self._leave_out(NO_FRAMES.format(source.codec or "unknown"))

    def _clips(self, source: FrameSource) -> Iterator[Clip]:
        recipe, stride, index = self.recipe, self.recipe.frame_stride, -1
        rate = recipe.frame_rate or source.frame_rate
        seconds_taken = stride / (rate or USUAL_RATE)
        cut = windows(self.encoded_frames(source), recipe.clip_frames, recipe.clip_stride)
        for index, (first, clip) in enumerate(cut):
            taken = -(-self.frame_count // stride)  # of the frames so far; those of the last window are all
            last = min(first + recipe.clip_frames, taken) - 1
            times, files = zip(*clip, strict=True)
            yield Clip(
                frames=list(files),
                index=index,
                first_frame=first * stride,
                end_frame=last * stride + 1,
                begin=times[0],
                end=max(times) + seconds_taken,
                frame_rate=rate,
            )
        self._judge(source, index + 1)

    def _selected(self, source: FrameSource) -> Iterator[tuple[float, Frame]]:
        """Yields the frames of the segment, start <= time < end; of one between two frames that which is shown then."""
        start, end = (self._segment.start, self._segment.end) if self._segment else (0.0, None)
        frame_seconds = 1 / (source.frame_rate or USUAL_RATE)
        shown, is_empty = None, True
        for time, frame in source.timed_frames():
            if end is not None and time >= end:
                break
            self._decoded_frames += 1
            self.duration = time + frame_seconds
            if time >= start:
                is_empty = False
                yield time, frame
            else:
                shown = frame
        else:
            if start >= self.duration:
                return
        if is_empty and shown is not None:
            yield start, shown

    def _counted(self, frames: Iterable[tuple[float, Frame]]) -> Iterator[tuple[float, Frame]]:
        for item in frames:
            self.frame_count += 1
            yield item

    def _encoded(self, frames: Iterator[tuple[float, Frame]]) -> Iterator[tuple[float, bytes]]:
        recipe, stride = self.recipe, self.recipe.frame_stride
        if recipe.modality != FLOW:
            previous, jpeg = None, b""
            for time, frame in islice(frames, 0, None, stride):
                if frame is not previous:  # at a fixed rate one frame may come several times
                    previous, jpeg = frame, frame.jpeg(recipe.short_side, recipe.quality)
                yield time, jpeg
            return
        shrunk = ((time, frame.bgr(recipe.short_side)) for time, frame in frames)
        for time, picture in islice(flow_pictures(shrunk, recipe.flow_bound), 0, None, stride):
            yield time, encode_flow(picture, recipe.quality)

    def _judge(self, source: FrameSource, clip_count: int) -> None:
        """Sets `reason` and `is_kept` from what came, unless nothing did."""
        if self.reason is not None:
            return
        if self._segment is not None:
            self._judge_segment(self._segment, clip_count)
        elif source.decoded_fraction() < DAMAGED_BELOW:
            self.is_kept = source.decoded_fraction() >= self.recipe.keep_fraction
            promised = f" of {source.frame_count}" if source.frame_count else ""
            fate = "kept" if self.is_kept else "too few"
            self.reason = f"stopped after {self._decoded_frames}{promised} frames; {fate}"

    def _judge_segment(self, segment: Segment, clip_count: int) -> None:
        if clip_count == 0:
            end = "the end" if segment.end is None else f"{segment.end:g} s"
            self._leave_out(f"no frame from {segment.start:g} s to {end}: the video ends at {self.duration:.1f} s")
        elif segment.end is not None and segment.end > self.duration + END_TOLERANCE:
            self.reason = f"its segment ends at {segment.end:g} s, the video at {self.duration:.1f} s; kept"

    def _leave_out(self, reason: str) -> None:
        self.reason, self.is_kept = reason, False
