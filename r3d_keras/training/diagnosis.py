"""What the numbers of a run say is wrong with it: a pure function from epochs to findings."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from r3d_keras.terminal import counted, percent
from r3d_keras.training.progress import NOTABLE_WAIT, bottleneck

FINDINGS_FILE = "findings.json"  # in the folder of a run
SEVERAL = 5  # epochs in a row that must agree: the first ones and single ones are often odd
RARE = 0.01  # a probability below which something is not put down to chance
NAMED = 3


@dataclass(frozen=True)
class EpochNumbers:
    """What is known of an epoch when it ends; parts are 0 to 1.

    top1                of the training clips
    wait_share          part of the time that steps waited for data
    class_clips         training clips of each class; empty where a clip may have several labels
    class_losses        the sums of their cross-entropies, in nats
    still_clips         training clips of equal frames, none of which is there to fill up a short clip
    still_videos        some of their videos
    validation_top1     of the validation clips; None without validation after this epoch, or with several labels
    validation_videos   of each class
    validation_answers  of which each class was the most probable one
    """

    epoch: int
    top1: float
    wait_share: float
    class_clips: Sequence[int] = ()
    class_losses: Sequence[float] = ()
    still_clips: int = 0
    still_videos: Sequence[str] = ()
    validation_top1: float | None = None
    validation_videos: Sequence[int] = ()
    validation_answers: Sequence[int] = ()

    @property
    def chance(self) -> float:
        """Top-1 of who always names the most frequent class."""
        return max(self.class_clips) / sum(self.class_clips)

    @property
    def learns(self) -> bool:
        """Whether a clip costs less, in nats, than knowing no more than how frequent each class is (their entropy)."""
        clips = sum(self.class_clips)
        entropy = -sum(count / clips * math.log(count / clips) for count in self.class_clips if count)
        return sum(self.class_losses) / clips < entropy


@dataclass(frozen=True)
class Finding:
    """Something that is wrong since an epoch: one line, with what to do. `classes` are those that it is about."""

    kind: str
    epoch: int
    text: str
    classes: Sequence[str] = ()


def diagnose(epochs: Sequence[EpochNumbers], label_names: Sequence[str], told: Sequence[Finding] = ()) -> list[Finding]:
    """Returns what is wrong after the last of some epochs, and was not `told` before.

    Args:
        epochs: the last ones, oldest first: SEVERAL of them as soon as there are as many.
        label_names: of the classes.
        told: earlier findings.
    """
    last, known = epochs[-1], {finding.kind for finding in told}
    lines = {
        "input": _waits_for_input(last),
        "still clips": _shows_still_clips(last),
    }
    never, recent = [], epochs[-SEVERAL:]
    if len(recent) == SEVERAL and all(each.class_clips for each in recent):
        lines["majority"] = _learns_the_majority_alone(recent, label_names)
        lines["chance"] = None if lines["majority"] else _stays_at_chance(recent)
        lines["validation"] = _does_not_carry_over(recent)
        named = {name for finding in told for name in finding.classes}
        never = [label_names[index] for index in _never_answered(recent) if label_names[index] not in named]
    found = [Finding(kind, last.epoch, line) for kind, line in lines.items() if line and kind not in known]
    if never:
        classes = "1 class is" if len(never) == 1 else f"{len(never)} of {len(label_names)} classes are"
        more = ", ..." if len(never) > NAMED else ""
        line = (
            f"{classes} never predicted for validation videos ({', '.join(never[:NAMED])}{more}): look for too few "
            "training videos of them, or for labels that another class shares"
        )
        found.append(Finding("never predicted", last.epoch, line, tuple(never)))
    return found


def read_findings(folder: str | Path) -> list[Finding]:
    """Reads the findings of the run in a folder, oldest first; there are none where there is no run."""
    path = Path(folder) / FINDINGS_FILE
    return [Finding(**values) for values in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


def binomial_bound(part: float, count: int) -> float:
    """Returns the part of `count` draws that is exceeded with probability RARE where `part` is expected (normal)."""
    return part + NormalDist().inv_cdf(1 - RARE) * math.sqrt(part * (1 - part) / count)


def _waits_for_input(last: EpochNumbers) -> str | None:
    if last.wait_share <= NOTABLE_WAIT:
        return None
    remedy = "input hosts (data_service), shards of a smaller short_side or JPEG quality make it faster"
    return f"{bottleneck(last.wait_share)}; {remedy}"


def _shows_still_clips(last: EpochNumbers) -> str | None:
    # No bound: noise alone makes the frames of a real recording differ, so a single one is worth a look.
    if not last.still_clips:
        return None
    return (
        f"{counted(last.still_clips, 'training clip')} with one picture in all frames, of videos such as "
        f"{', '.join(last.still_videos[:NAMED])}: the sign of a damaged file; look at them, and remove what is broken"
    )


def _stays_at_chance(recent: Sequence[EpochNumbers]) -> str | None:
    # Guessing the most frequent class exceeds the bound by luck in one epoch of a hundred; of few clips the bound is
    # above 1, and then no accuracy below that tells anything.
    is_above = any(each.top1 >= min(binomial_bound(each.chance, sum(each.class_clips)), 1.0) for each in recent)
    if is_above or recent[-1].learns:
        return None
    return (
        f"training accuracy is at chance ({percent(_largest_part(recent))}) for {len(recent)} epochs: try a "
        "learning_rate ten times as high, and one ten times as low; if both fail, the labels do not tell what the "
        "videos show"
    )


def _does_not_carry_over(recent: Sequence[EpochNumbers]) -> str | None:
    validated = [each for each in recent if each.validation_top1 is not None]
    if not validated or validated[-1] is not recent[-1] or not all(map(_loses_most, validated)):
        return None
    last = recent[-1]
    return (
        f"validation is far below training ({percent(last.validation_top1)} of clips, not {percent(last.top1)}): "
        "the model overfits; more videos, or weights=MODEL to start from, help most"
    )


def _loses_most(epoch: EpochNumbers) -> bool:
    """Tells whether more than half of what training has above chance is missing in validation, and not by luck."""
    gap, videos = epoch.top1 - epoch.validation_top1, sum(epoch.validation_videos)
    # The clips of a video are right or wrong together: its luck is that of the number of videos.
    is_luck = epoch.top1 <= binomial_bound(epoch.validation_top1, videos)
    return gap > (epoch.top1 - epoch.chance) / 2 and not is_luck


def _learns_the_majority_alone(recent: Sequence[EpochNumbers], label_names: Sequence[str]) -> str | None:
    even, last = 1 / len(label_names), recent[-1]
    if last.chance <= binomial_bound(even, sum(last.class_clips)):  # no class is the largest, but by luck
        return None
    majority = last.class_clips.index(max(last.class_clips))
    for each in recent:
        clips, losses = each.class_clips[majority], each.class_losses[majority]
        others, losses_of_others = sum(each.class_clips) - clips, sum(each.class_losses) - losses
        # A guess that all classes are equally likely costs log(classes) a clip: who knows a class pays less for it.
        guess = math.log(len(label_names))
        if not clips or not others or losses / clips >= guess or losses_of_others / others < guess:
            return None
    return (
        f"the loss falls on {label_names[majority]!r} alone, which {percent(_largest_part(recent))} of the training "
        "clips are: balanced_classes weighs the others up; more videos of them help most"
    )


def _largest_part(recent: Sequence[EpochNumbers]) -> float:
    """Returns the part of the most frequent class in several epochs, whose ends do not fall on those of batches."""
    clips = [sum(of_class) for of_class in zip(*(each.class_clips for each in recent), strict=True)]
    return max(clips) / sum(clips)


def _never_answered(recent: Sequence[EpochNumbers]) -> list[int]:
    """Returns the classes that were the answer for no video of several rounds, though there are enough of them."""
    validated = [each for each in recent if each.validation_answers]
    if not validated or validated[-1] is not recent[-1]:
        return []
    videos = sum(recent[-1].validation_videos)
    return [
        index
        for index, count in enumerate(recent[-1].validation_videos)
        # Whoever names each class as often as it occurs misses one of so many videos by luck with this probability.
        if (1 - count / videos) ** videos < RARE and not any(each.validation_answers[index] for each in validated)
    ]
