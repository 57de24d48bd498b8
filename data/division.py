"""Divides the videos of a folder into training and validation: what belongs together stays on one side."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from r3d_keras.errors import UserError
from r3d_keras.terminal import counted
from r3d_keras.video.listing import TRAIN, VALIDATION, Video
from r3d_keras.video.sources import is_video

from .duplicates import equal_videos

# What file managers write before or behind the name of a copy, in English, German, French, Spanish and Italian:
# "Copy (2) of run", "run copy 2", "run - Kopie (2)". A number after an underscore or with zeros is a data set's own.
_WORD = r"(?:copy|kopie|copie|copia)"
_MARKS = re.compile(rf"^(?:{_WORD}(?: \(\d+\))? (?:of|von|de|di) )+|(?:[ _-]+\(?{_WORD}(?: ?\(?[1-9]\d*\)?)?\)?)+$")


def divide(
    videos: Sequence[Video], fraction: float, seed: int, group_pattern: str | None = None, fold: str | None = None
) -> tuple[list[Video], list[str]]:
    """Holds out a part of each class for validation, drawn by a hash of `seed` and the video ids.

    A group is never divided: videos in whose ids `group_pattern` matches the same text (or the same text in its
    parentheses), in whatever class; videos of equal content; and, without a pattern, a file and its copies by their
    names. As close to `fraction` as the groups allow, every class keeps at least one training video. The draw depends
    on neither the machine nor the order of the videos.

    Args:
        videos: of all classes, with labels.
        fraction: part of each class to hold out, 0 to 1; without meaning when there is a `fold`.
        group_pattern: a regular expression, searched in the video ids, which are `class/file`.
        fold: "2/5" holds out the second of five parts that together are all videos, the first of which a fraction of
            a fifth holds out too.

    Returns the videos with their splits, and what a user should know, one line each.

    Raises UserError for a pattern that is none or matches nothing, for a fold that is none, and when there are too few
    groups for what is asked.
    """
    number, folds = _parse_fold(fold)
    if fold:
        fraction = 1 / folds
    together = _equal(videos)
    if group_pattern is None:
        originals = _originals(videos)
        copies = [group for group in originals.values() if len(group) > 1]
        together += copies
        notes = [*_copies_note(videos, copies), *_numbers_note(videos, originals)]
    else:
        matches, notes = _matches(videos, group_pattern)
        together += matches
    groups = _merge(len(videos), together)
    groups.sort(key=lambda group: _digest(seed, min(videos[index].video_id for index in group)))
    if fold and folds > len(groups):
        raise UserError(f"fold={fold} needs {counted(folds, 'group')} of videos, and there are {len(groups)}")
    labels = [Counter(videos[index].label for index in group) for group in groups]
    held_out = _draw(labels, fraction, number, folds)
    if fraction and not held_out and (fold or group_pattern is not None):
        asked = f"fold={fold}" if fold else f"validation_fraction={fraction:g}"
        raise UserError(f"no group of videos (of {len(groups)}) can be held out for {asked}: {_remedy(labels)}")
    if group_pattern is not None:
        notes.insert(0, f"{len(groups)} groups by group_pattern={group_pattern}, {len(held_out)} of them validation")
    if videos and not held_out:
        notes = [_nothing_note(labels, fraction)]
    validation = {index for position in held_out for index in groups[position]}
    divided = [replace(video, split=VALIDATION if index in validation else TRAIN) for index, video in enumerate(videos)]
    without = sorted({video.label for video in videos} - {videos[index].label for index in validation})
    if validation and without:
        notes.append(f"no validation video of {', '.join(without)}: too few groups of videos")
    return divided, notes


def _draw(groups: list[Counter], fraction: float, number: int, folds: int) -> list[int]:
    """Returns the positions of the groups, given by their videos of each class, that are held out in fold `number`."""
    videos, rest, held_out = _total(groups), list(range(len(groups))), []
    for later in range(folds - 1, folds - 1 - number, -1):
        taken = set(held_out)
        rest = [position for position in rest if position not in taken]
        part = fraction if folds == 1 else 1 / (later + 1)
        held_out = [rest[index] for index in _hold_out([groups[position] for position in rest], part, videos, later)]
    return held_out


def _hold_out(groups: list[Counter], fraction: float, videos: Counter, later: int) -> list[int]:
    """Takes one group after the other that brings the classes closer to `fraction`.

    Of the `videos` of each class some stay, and of the groups as many as there are `later` folds.
    """
    total = _total(groups)
    wanted = {label: int(count * fraction + 0.5) for label, count in total.items()}
    taken, have = [], Counter()
    for position, group in enumerate(groups):
        # How much the squared distances grow, of each class in proportion to its size.
        growth = sum(
            count * (2 * (have[label] - wanted[label]) + count) / total[label] for label, count in group.items()
        )
        stays = all(have[label] + count < videos[label] for label, count in group.items())
        if growth <= 0 and stays and len(groups) - len(taken) > later:
            taken.append(position)
            have.update(group)
    return taken


def _remedy(groups: list[Counter]) -> str:
    counts = Counter(label for group in groups for label in group)
    label, fewest = min(counts.items(), key=lambda item: item[1])
    if fewest == 1:
        return f"all videos of {label!r} are in one group"
    return f"{fewest} folds are as many as each class has videos for"


def _nothing_note(groups: list[Counter], fraction: float) -> str:
    line = f"no video is held out by validation_fraction={fraction:g}"
    if not fraction:
        return line
    most = max(Counter(label for group in groups for label in group).values())
    return (
        f"{line}: no class has more than {counted(most, 'video')} (copies counted once), and each keeps one for "
        "training; with more videos, or a larger fraction, there is a validation split"
    )


def _total(groups: Iterable[Counter]) -> Counter:
    total = Counter()
    for group in groups:
        total.update(group)
    return total


def _merge(count: int, together: Iterable[Sequence[int]]) -> list[list[int]]:
    """Returns the groups of the numbers below `count` that lists with a number in common make, directly or not."""
    first = list(range(count))  # a smaller number of the same group, or itself

    def smallest(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = first[index]
        return index

    for members in together:
        roots = {smallest(index) for index in members}
        for root in roots:
            first[root] = min(roots)
    groups = defaultdict(list)
    for index in range(count):
        groups[smallest(index)].append(index)
    return list(groups.values())


def _equal(videos: Sequence[Video]) -> list[list[int]]:
    numbers = {video.path: index for index, video in enumerate(videos)}
    return [[numbers[path] for path in paths] for paths in equal_videos(numbers)]


def _matches(videos: Sequence[Video], pattern: str) -> tuple[list[list[int]], list[str]]:
    """Returns the videos of each text that the pattern matches, and a note on those in which it matches nothing."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"group_pattern={pattern} is no regular expression: {error}") from error
    by_text, others = defaultdict(list), []
    for index, video in enumerate(videos):
        if match := expression.search(video.video_id):
            by_text[match.groups() or match[0]].append(index)
        else:
            others.append(video.video_id)
    if not by_text:
        raise UserError(f"group_pattern={pattern} matches none of {len(videos)} videos, for example {others[0]}")
    unmatched = f"group_pattern does not match {counted(len(others), 'video')}, each a group by itself, for example "
    return list(by_text.values()), [unmatched + others[0]] if others else []


def _originals(videos: Sequence[Video]) -> dict[tuple[str, str], list[int]]:
    """Returns the videos of each class and name, where case, suffix and marks of a copy make no other name.

    "run (2)" is a copy where there is a "run": Windows numbers files in this way too.
    """
    names = [(video.label, _MARKS.sub("", _stem(video).lower())) for video in videos]
    known, originals = set(names), defaultdict(list)
    for index, (label, name) in enumerate(names):
        unnumbered = label, re.sub(r" ?\(\d+\)$", "", name)
        originals[unnumbered if unnumbered in known else (label, name)].append(index)
    return originals


def _copies_note(videos: Sequence[Video], copies: list[list[int]]) -> list[str]:
    if not copies:
        return []
    original, copy = sorted((videos[index].video_id for index in copies[0]), key=lambda name: (len(name), name))[:2]
    return [
        f"{sum(map(len, copies)):,} videos are copies of one another by their names and stay together, for example "
        f"{copy} with {original}; where these are other videos, group_pattern=.* divides them"
    ]


def _numbers_note(videos: Sequence[Video], originals: dict[tuple[str, str], list[int]]) -> list[str]:
    """Tells of names that differ in numbers alone: often mere numbering, often parts of one recording."""
    by_name = defaultdict(list)
    for (label, name), members in originals.items():
        by_name[label, re.sub(r"[\W_]*\d+\W*", "", name)].append(videos[members[0]].video_id)
    series = [ids for ids in by_name.values() if len(ids) > 1]
    if not series:
        return []
    return [
        f"{sum(map(len, series)):,} videos have names that differ from another's in numbers alone, for example "
        f"{' and '.join(series[0][:2])}, and each was divided by itself: where they show the same people, place or "
        rf"recording, keep those on one side, such as by group_pattern='person\d+' where names hold person07"
    ]


def _stem(video: Video) -> str:
    name = PurePosixPath(video.video_id)
    return name.stem if is_video(name.name) else name.name  # a folder of frames has no suffix


def _parse_fold(fold: str | None) -> tuple[int, int]:
    """Returns the number of a fold and of all folds; 1 and 1 without folds."""
    if fold is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", fold)
    number, folds = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= folds or folds < 2:
        raise UserError(f"fold={fold} is no fold: 1/5 is the first of five, 5/5 the last")
    return number, folds


def _digest(seed: int, video_id: str) -> bytes:
    return hashlib.sha256(f"{seed}/{video_id}".encode()).digest()
