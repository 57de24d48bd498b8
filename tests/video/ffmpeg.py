"""The command ffmpeg: it makes videos of every kind, and says what their frames are."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np

EXECUTABLE = imageio_ffmpeg.get_ffmpeg_exe()
PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=2")
SOUND = ("-f", "lavfi", "-i", "sine=d=6")
FIELDS = ("-f", "lavfi", "-i", "testsrc2=s=160x128:r=50:d=2", "-vf", "tinterlace=interleave_top")
INTERLACED = (*FIELDS, "-flags", "+ildct+ilme")
PQ = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
JUMP = "setpts=PTS+gte(N\\,30)*36000/TB"

# name: file name, and the arguments that write it
KINDS: dict[str, tuple[str, Sequence[str]]] = {
    "interlaced H.264": ("x.mts", [*INTERLACED, "-c:v", "libx264", "-x264opts", "tff=1"]),
    "interlaced H.264 in mp4": ("x.mp4", [*INTERLACED, "-c:v", "libx264", "-x264opts", "tff=1"]),
    "interlaced MPEG-2": ("x.mpg", [*INTERLACED, "-c:v", "mpeg2video"]),
    "interlaced MPEG-2 in ts": ("x.ts", [*INTERLACED, "-c:v", "mpeg2video"]),
    "interlaced MPEG-4": ("x.avi", [*INTERLACED, "-c:v", "mpeg4"]),
    "interlaced H.265": ("x.mkv", [*INTERLACED, "-c:v", "libx265", "-x265-params", "interlace=tff:log-level=none"]),
    "DV": ("x.avi", ["-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=0.3", "-c:v", "dvvideo", "-pix_fmt", "yuv420p"]),
    "H.264 with B-frames in avi": ("x.avi", [*PICTURE, "-c:v", "libx264", "-bf", "3"]),
    "Xvid with B-frames": ("x.avi", [*PICTURE, "-c:v", "mpeg4", "-bf", "2", "-vtag", "XVID"]),
    "sound longer in mkv": ("x.mkv", [*PICTURE, *SOUND, "-c:v", "libx264"]),
    "sound longer in webm": ("x.webm", [*PICTURE, *SOUND, "-c:v", "libvpx-vp9", "-deadline", "realtime"]),
    "sound longer in ts": ("x.ts", [*PICTURE, *SOUND, "-c:v", "libx264"]),
    "sound longer in flv": ("x.flv", [*PICTURE, *SOUND, "-c:v", "libx264", "-ar", "44100"]),
    "sound longer in mpg": ("x.mpg", [*PICTURE, *SOUND, "-c:v", "mpeg2video"]),
    "AV1": ("x.mp4", [*PICTURE, "-c:v", "libaom-av1", "-cpu-used", "8"]),
    "10 bits": ("x.mkv", [*PICTURE, "-c:v", "libx264", "-pix_fmt", "yuv420p10le"]),
    "full range": ("x.mp4", [*PICTURE, "-c:v", "libx264", "-pix_fmt", "yuvj420p"]),
    "BT.709": ("x.mp4", [*PICTURE, "-vf", "setparams=colorspace=bt709", "-c:v", "libx264"]),
    "HDR": (
        "x.mkv",
        [
            *PICTURE, "-vf", PQ, "-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none",
        ],
    ),
    "alpha in mov": ("x.mov", [*PICTURE, "-c:v", "png", "-pix_fmt", "rgba"]),
    "alpha in webm": ("x.webm", [*PICTURE, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-deadline", "realtime"]),
    "gray": ("x.mp4", [*PICTURE, "-c:v", "libx264", "-pix_fmt", "gray"]),
    "RGB": ("x.mkv", [*PICTURE, "-c:v", "ffv1", "-pix_fmt", "gbrp"]),
    "odd sizes": ("x.mp4", ["-f", "lavfi", "-i", "testsrc2=s=161x121:d=1", "-c:v", "libx264", "-pix_fmt", "yuv444p"]),
    "raw H.264": ("x.h264", [*PICTURE, "-c:v", "libx264"]),
    "beginning late": ("x.mkv", [*PICTURE, "-vf", "setpts=PTS+5/TB", "-c:v", "libx264"]),
    "a jump of hours": ("x.mkv", [*PICTURE, "-vf", JUMP, "-fps_mode", "vfr", "-c:v", "libx264"]),
}  # fmt: skip


def ffmpeg(*arguments: object) -> bytes:
    """Runs ffmpeg; returns what it writes to its standard output."""
    command = [EXECUTABLE, "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def make(kind: str, folder: Path) -> Path:
    """Writes a video of a kind into a folder."""
    name, arguments = KINDS[kind]
    ffmpeg(*arguments, folder / name)
    return folder / name


def frames_of(path: Path, height: int, width: int) -> np.ndarray:
    """Returns the frames that ffmpeg shows, uint8 [frames, height, width, 3] RGB."""
    passthrough = ("-map", "0:V:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(ffmpeg("-i", f"file:{path}", *passthrough), np.uint8).reshape(-1, height, width, 3)
