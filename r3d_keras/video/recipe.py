"""The recipe of a clip: how it was made of a video, written beside shards and carried by every model."""

from dataclasses import dataclass, fields, replace
from typing import Any

from r3d_keras.errors import UserError

RGB, FLOW = "rgb", "flow"
_FLOW_CHANNELS = 2
RECIPE_FILE = "clip_recipe.json"  # beside the shards
# A video is warned about whose rate lies outside the training videos' by more than this factor.
RATE_TOLERANCE = 1.5


@dataclass(frozen=True)
class Recipe:
    """How clips are made of a video, in this order:

    frame_rate    frames a second to resample to, by time; None keeps every frame
    short_side    of the frames in pixels; smaller frames stay
    modality      what a frame shows: "rgb", or "flow", the motion to the next frame (see `optical_flow`)
    flow_bound    motion in pixels that the ends of the scale of stored flow stand for
    frame_stride  of these frames every one is taken (1), every second one (2), ...
    quality       of the JPEG files that the frames become, 1 to 100
    clip_frames   frames of a clip
    clip_stride   taken frames from the beginning of a clip to that of the next; `clip_frames` when None

    keep_fraction a video that stops before this part of its frames is left out
    source_rates  lowest, median and highest frame rate of the training videos; None when unknown

    Raises UserError for a value that makes no sense.
    """

    frame_rate: float | None = None
    short_side: int = 240
    modality: str = RGB
    flow_bound: float = 20.0
    frame_stride: int = 1
    quality: int = 95
    clip_frames: int = 16
    clip_stride: int | None = None
    source_rates: tuple[float, float, float] | None = None
    keep_fraction: float = 0.5

    def __post_init__(self):
        if self.clip_stride is None:
            object.__setattr__(self, "clip_stride", self.clip_frames)
        for name in ("short_side", "frame_stride", "clip_frames", "clip_stride"):
            value = getattr(self, name)
            if not _is_number(value, int) or value < 1:
                raise UserError(f"{name} of a clip must be a whole number from 1 on, not {value!r}")
        for name in ("frame_rate", "flow_bound"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value, (int, float)) and 0 < value < 1e6):
                raise UserError(f"{name} of a clip must be above 0, not {value!r}")
        if not (_is_number(self.quality, int) and 1 <= self.quality <= 100):
            raise UserError(f"the JPEG quality of a clip must be 1 to 100, not {self.quality!r}")
        if not (_is_number(self.keep_fraction, (int, float)) and 0 <= self.keep_fraction <= 1):
            raise UserError(f"keep_fraction of a clip must be 0 to 1, not {self.keep_fraction!r}")
        rates = self.source_rates
        if rates is not None and not (len(rates) == 3 and all(_is_number(rate, (int, float)) for rate in rates)):
            raise UserError(f"source_rates of a clip must be three numbers, not {rates!r}")
        if self.modality not in (RGB, FLOW):
            raise UserError(f"modality of a clip must be {RGB} or {FLOW}, not {self.modality!r}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Rebuilds what `dataclasses.asdict` gave, after a journey through JSON too. Raises TypeError on other keys."""
        rates = values.get("source_rates")
        return cls(**{**values, "source_rates": tuple(rates) if rates else None})

    @property
    def timing(self) -> tuple[float | None, int]:
        """Frame rate and frame stride: what decides how fast things move in a clip."""
        return self.frame_rate, self.frame_stride

    def strided(self, frame_stride: int) -> "Recipe":
        """Returns the recipe of clips of every `frame_stride`-th frame of shards made by this one.

        Their windows follow one another without overlap, as `r3d_keras.input.sampling` has it.
        """
        if frame_stride == 1:
            return self
        return replace(self, frame_stride=frame_stride, clip_stride=self.clip_frames)

    def difference(self, other: "Recipe") -> str | None:
        """Tells in words why clips by `other` are not what a model of this recipe has learned from; None when they are.

        Where the model keeps every frame of videos of unknown rates, nothing can be said against any timing.
        """
        if self.modality != other.modality:
            return f"{self.modality}, not {other.modality}"
        if self.modality == FLOW and self.flow_bound != other.flow_bound:
            return f"flow within {self.flow_bound:g} pixels, not {other.flow_bound:g}"
        is_unknown = self.timing == (None, 1) and self.source_rates is None
        if is_unknown or self.timing == other.timing:
            return None
        return f"{self.describe_timing()}, not {other.describe_timing()}"

    def rate_warning(self, frame_rate: float) -> str | None:
        """Returns a line about a video of `frame_rate` (0 when unknown) in which things move at another speed.

        None where frames are taken by time, or where no rate is known.
        """
        if self.frame_rate is not None or self.source_rates is None or not frame_rate:
            return None
        lowest, median, highest = self.source_rates
        if lowest / RATE_TOLERANCE <= frame_rate <= highest * RATE_TOLERANCE:
            return None
        return (
            f"it has {frame_rate:g} frames a second, the training videos {self._describe_rates()}: what moves looks "
            f"{'slower' if frame_rate > median else 'faster'} to the model; bring it to {median:g} frames a second "
            "(ffmpeg -r), or prepare the training videos at a fixed frame rate"
        )

    def describe_timing(self) -> str:
        """Returns which frames are taken, as in "every 3rd of 10 frames a second"."""
        every = "every frame" if self.frame_stride == 1 else f"every {_ordinal(self.frame_stride)} frame"
        if self.frame_rate is None:
            return every + (f" of videos of {self._describe_rates()}" if self.source_rates else "")
        if self.frame_stride == 1:
            return f"{self.frame_rate:g} frames a second"
        return f"every {_ordinal(self.frame_stride)} of {self.frame_rate:g} frames a second"

    def __str__(self) -> str:
        flow = f", flow within {self.flow_bound:g} pixels" if self.modality == FLOW else ""
        return (
            f"{self.clip_frames} frames ({self.describe_timing()}), a clip every {self.clip_stride}, short side at "
            f"most {self.short_side}, JPEG quality {self.quality}{flow}"
        )

    def _describe_rates(self) -> str:
        lowest, median, highest = self.source_rates
        return f"{lowest:g}" if lowest == highest else f"{lowest:g} to {highest:g} (median {median:g})"


def modality_of(channels: int) -> str:
    """Returns what a clip of so many channels shows: "flow" in two; "rgb" in three, and in one, its brightness.

    Raises UserError for another number.
    """
    if channels not in (1, _FLOW_CHANNELS, 3):
        raise UserError(f"a clip has 1 channel (brightness), 2 (optical flow) or 3 (RGB), not {channels}")
    return FLOW if channels == _FLOW_CHANNELS else RGB


def channels_of(modality: str) -> int:
    """Returns the channels of a clip: 3 of "rgb", 2 of "flow"."""
    return _FLOW_CHANNELS if modality == FLOW else 3


def recipe_of_report(report: dict[str, Any]) -> Recipe:
    """Returns the recipe of shards by their preparation report, for those that were written without a recipe file."""
    settings = report["fingerprint"]["settings"]
    known = {field.name for field in fields(Recipe)}
    return Recipe.from_dict({name: value for name, value in settings.items() if name in known and value is not None})


def _is_number(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
