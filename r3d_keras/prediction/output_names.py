"""Names of what is written about videos."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from r3d_keras.video.folders import Video

# A file system takes names of 255 bytes; what is written has suffixes, and is written under another name first.
LONGEST_NAME = 180


def output_names(videos: Sequence[Video]) -> dict[Video, str]:
    """Names each video after itself and its folder, so that no two have one name whatever the file system.

        walk/1.mp4, run/1.mp4           walk-1, run-1
        walk/1.mp4, walk/1.avi          walk-1.mp4, walk-1.avi
        a/walk/1.mp4, b/walk/1.mp4      walk-1-, followed by eight digits of the path's SHA-256

    A name of more than LONGEST_NAME bytes is cut, and gets the digits too.
    """
    paths = {video: Path(str(video)) for video in videos}
    plain = {video: "-".join(filter(None, (path.parent.name, path.stem))) for video, path in paths.items()}
    whole = {video: f"{plain[video]}{path.suffix}" for video, path in paths.items()}
    names = {}
    for candidates in (plain, whole):
        counts = Counter(name.lower() for name in candidates.values())
        for video, name in candidates.items():
            if video not in names and counts[name.lower()] == 1 and len(name.encode()) <= LONGEST_NAME:
                names[video] = name
    for video in paths.keys() - names.keys():
        digest = hashlib.sha256(str(paths[video].absolute()).encode()).hexdigest()[:8]
        names[video] = f"{plain[video].encode()[:LONGEST_NAME].decode(errors='ignore')}-{digest}"
    return names
