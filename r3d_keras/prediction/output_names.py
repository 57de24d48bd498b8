"""Names of what is written about videos."""

import hashlib
import os
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
    # A name is free when no other video could have it, with its suffix or without.
    wishes = Counter(name.lower() for video in paths for name in {plain[video], whole[video]})
    names = {}
    for video, path in paths.items():
        free = [name for name in (plain[video], whole[video]) if wishes[name.lower()] == 1]
        if free and len(os.fsencode(free[0])) <= LONGEST_NAME:
            names[video] = free[0]
        else:
            digest = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:8]
            names[video] = f"{os.fsencode(plain[video])[:LONGEST_NAME].decode(errors='ignore')}-{digest}"
    return names
