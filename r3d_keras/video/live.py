"""Live pictures: the newest clip of a camera or stream, whatever the time that its answer takes."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from r3d_keras.errors import UserError
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.conversion import DecodedFrame
from r3d_keras.video.decoding import STREAM_SECONDS, USUAL_RATE, VideoReader, is_stream
from r3d_keras.video.reading_ahead import SECONDS_TO_END
from r3d_keras.video.recipe import Recipe
from r3d_keras.video.resampling import TOLERANCE
from r3d_keras.video.windows import loop_to_length

# After so many seconds without a frame a note says so.
SECONDS_TO_REPORT = 5


@dataclass(frozen=True)
class LiveClip:
    """A clip of live pictures.

    frames      `clip_frames` JPEG files of one size
    begin, end  in seconds from the first frame of the stream
    arrival     when the data of its last frame came, in seconds of `time.monotonic`
    dropped     frames so far that are in no clip, because newer ones had come when a clip was asked for. Of a recipe
                that does not take every frame, only what it takes counts.
    """

    frames: list[bytes]
    begin: float
    end: float
    arrival: float
    dropped: int


class LiveReader(VideoReader):
    """Reads a camera or stream, and remembers when its frames came."""

    def __init__(self, video: str | int):
        super().__init__(video)
        self.video = video
        self.on_frame: Callable[[], None] = lambda: None
        self.is_stopped = False
        self._arrivals: deque[tuple[float, float]] = deque()

    def timed_frames(self) -> Iterator[tuple[float, DecodedFrame]]:
        """Yields what `VideoReader.timed_frames` does, until `is_stopped`; `on_frame` is called before each."""
        for seconds, frame in super().timed_frames():
            if self.is_stopped:
                return
            self._arrivals.append((seconds, self.arrival))
            self.on_frame()
            yield seconds, frame

    def arrival_of(self, seconds: float) -> float:
        """Returns when the last frame came whose time is not later than `seconds`; must be asked for in order."""
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= seconds + TOLERANCE:
            self._arrivals.popleft()
        return self._arrivals[0][1]


class LiveClips:
    """Iterates over clips of live pictures: each is the newest when it is asked for, and none begins before its turn.

    A thread reads and keeps the newest `clip_frames` frames, so memory is bounded, and what comes does not wait for
    answers, though for its decoding. Who asks early gets the clips that `VideoClips` cuts, the last one looped to
    full length; who asks late gets the newest frames, and those before them are dropped and counted. With clips of 4
    frames:

        asked for when 4, 8 and 10 frames have come     [0-3] [4-7] then, at the end, [8 9 8 9]
        asked for when 4, 11 and 13 frames have come    [0-3] [7-10], 3 dropped, then [11 12 11 12]

    Example:
        with LiveClips(open_live("udp://127.0.0.1:5000"), Recipe(), print) as clips:    # reading begins
            for clip in clips:
                print(clip.end, clip.dropped)

    Raises nothing when the source ends; closes it.

    Args:
        source: a camera or stream that nothing was read of.
        recipe: how clips are made.
        on_note: called with a line on what a user should know: that nothing comes any more, why the stream ended, or
            that its frame rate is not that of the training videos.

    Attributes:
        dropped: see `LiveClip`.
        reason: why not a single frame came, see `VideoClips`; None when some did.
    """

    def __init__(self, source: LiveReader, recipe: Recipe, on_note: Callable[[str], None]):
        self._source, self._recipe, self._on_note = source, recipe, on_note
        self._clips = VideoClips(source.video, recipe)
        self._window: deque[tuple[float, bytes, float]] = deque()  # time, JPEG file, arrival
        self._shown = self._to_skip = 0  # frames of the window that are in a clip already; frames between two clips
        self.dropped = 0
        self._changed = threading.Condition()
        self._is_over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    @property
    def reason(self) -> str | None:
        return self._clips.reason

    def __enter__(self) -> "LiveClips":
        self._source.on_frame = self._wake
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._source.is_stopped = True
        # One that waits for a silent stream notices it later; the process does not wait for it.
        self._thread.join(SECONDS_TO_END)

    def __iter__(self) -> Iterator[LiveClip]:
        clip = self._newest()
        if self._clips.warning:
            self._on_note(f"{self._source.video}: {self._clips.warning}")
        while clip:
            yield clip
            clip = self._newest()
        if self._error:
            raise self._error
        if self._source.failure:
            self._on_note(f"{self._source.video} has ended: {self._source.failure}")

    def _read(self) -> None:
        try:
            for seconds, jpeg in self._clips.encoded_frames(self._source):
                self._add(seconds, jpeg, self._source.arrival_of(seconds))
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify()
            self._source.close()  # of RTSP, this waits for the answer of a server that may have fallen silent

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _add(self, seconds: float, jpeg: bytes, arrival: float) -> None:
        with self._changed:
            if self._to_skip:
                self._to_skip -= 1
                return
            if len(self._window) == self._recipe.clip_frames:
                self._window.popleft()
                if self._shown:
                    self._shown -= 1
                else:
                    self.dropped += 1
            self._window.append((seconds, jpeg, arrival))
            self._changed.notify()

    def _newest(self) -> LiveClip | None:
        """Waits for a full window, or for the end; returns None when nothing is left."""
        length, stride = self._recipe.clip_frames, self._recipe.clip_stride
        with self._changed:
            is_reported = False
            while len(self._window) < length and not self._is_over:
                is_silent = not self._changed.wait(SECONDS_TO_REPORT)
                if is_silent and not is_reported:
                    end = f"a stream ends after {STREAM_SECONDS} s without data"
                    self._on_note(f"{self._source.video}: no frame for {SECONDS_TO_REPORT} s ({end})")
                is_reported = is_silent
            if not self._window:
                return None
            times, files, arrivals = zip(*self._window, strict=True)
            for _ in range(min(stride, len(self._window))):
                self._window.popleft()
            self._shown, self._to_skip = len(self._window), max(0, stride - length)
            if len(files) < length:
                self._window.clear()  # it was the last one
            rate = self._recipe.frame_rate or self._source.frame_rate or USUAL_RATE
            return LiveClip(
                loop_to_length(list(files), length),
                times[0],
                max(times) + self._recipe.frame_stride / rate,
                arrivals[-1],
                self.dropped,
            )


def open_live(video: str | int) -> LiveReader | None:
    """Opens a camera, or an address that tells no end; returns None for every other video.

    It is opened once: what serves a single client would have nothing for a second one. Raises UserError when it is a
    camera or address that cannot be opened.
    """
    if not is_stream(video):
        return None
    reader = LiveReader(video)
    if reader.is_live:
        return reader
    reader.close()
    return None


def is_live(video: str | int) -> bool:
    """Tells whether a video is a camera, or an address that tells no end; of what cannot be opened, it is not."""
    try:
        reader = open_live(video)
    except UserError:
        return False
    if reader:
        reader.close()
    return reader is not None
