"""What a data folder was prepared from, and whether it is what is wanted now."""

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

from r3d_keras.video.listing import Listing
from r3d_keras.video.recipe import Recipe, recipe_of_report


@dataclass(frozen=True)
class Settings:
    """Everything but the videos that decides what the shards hold.

    recipe               of the clips, with every frame taken: training chooses a stride
    validation_fraction  part of each class that the lister held out
    seed                 of the order of the clips in the shards
    max_bad_fraction     a run ends when a larger part of the videos gives no clip
    citation             of the data set, for its TFDS metadata
    group_pattern, fold  by which the lister held videos out
    """

    dataset: str
    recipe: Recipe
    validation_fraction: float
    seed: int
    max_bad_fraction: float = 1.0
    citation: str = ""
    group_pattern: str | None = None
    fold: str | None = None

    @property
    def version(self) -> str:
        """Version of the TFDS data set, which has three numbers: short side, frames of a clip, and the rest in one.

        360.16.1609500000 is 360 pixels, 16 frames, and then a clip every 16 frames, quality 095, and a frame rate of
        000.00, which stands for every frame.
        """
        recipe = self.recipe
        quality = f"{recipe.quality:03d}"
        rate_in_hundredths = f"{round(100 * (recipe.frame_rate or 0)):05d}"
        return f"{recipe.short_side}.{recipe.clip_frames}.{recipe.clip_stride}{quality}{rate_in_hundredths}"


@dataclass(frozen=True)
class Fingerprint:
    """What shards are made from: settings by name, the number of videos, a digest of what they are, and classes.

    label_names  in the order of their label numbers; None where an earlier version did not write them
    """

    settings: dict[str, Any]
    videos: int
    videos_digest: str
    label_names: list[str] | None = None

    @classmethod
    def of(cls, listing: Listing, settings: Settings) -> "Fingerprint":
        """Takes the fingerprint; of each video its split, id, label, segment and size count."""
        digest = hashlib.sha256()
        for video in sorted(listing.videos, key=lambda video: (video.split, video.video_id)):
            segment = (video.segment.start, video.segment.end) if video.segment else None
            size = video.path.stat().st_size if video.path.is_file() else None
            digest.update(json.dumps([video.split, video.video_id, video.label, segment, size]).encode())
        shaping = {
            "dataset": settings.dataset,
            "validation_fraction": settings.validation_fraction,
            "group_pattern": settings.group_pattern,
            "fold": settings.fold,
            "seed": settings.seed,
            **asdict(settings.recipe),
        }
        return cls(shaping, len(listing.videos), digest.hexdigest(), listing.label_names)

    def difference(self, wanted: "Fingerprint") -> str | None:
        """Returns in words how this one differs from the one that is wanted; None when it does not."""
        # What an earlier version wrote lacks fields of the recipe.
        recipe = recipe_of_report({"fingerprint": {"settings": self.settings}})
        settings = {**self.settings, **asdict(recipe)}
        for name, value in wanted.settings.items():
            if settings.get(name) != value:
                found = settings.get(name)
                if found is None:
                    return f"without {name}, not with {name}={value}"
                return f"with {name}={found}, not {'without' if value is None else value}"
        if self.videos != wanted.videos:
            return f"of {self.videos} videos, not {wanted.videos}"
        if self.videos_digest != wanted.videos_digest:
            return "of videos of other names, classes, splits or sizes"
        if self.label_names is None:
            return "by an earlier version, which did not write the order of its classes"
        for number, (found, name) in enumerate(zip_longest(self.label_names, wanted.label_names)):
            if found != name:
                return f"with other label numbers ({number} is {found!r}, not {name!r})"
        return None
