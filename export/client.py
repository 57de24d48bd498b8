"""Asks a TF Serving server what happens in videos.

Examples:
    r3d client --server=localhost:8501 --model_name=actions video.mp4 folder_of_videos
    python -m export.client --server=localhost:8500 --protocol=grpc --model_name=actions --json --top_k=5 video.mp4
    r3d client --server=https://models.example.org/video --model_name=actions video.mp4
    r3d client --server=localhost:8501 --model_name=actions --latency video.mp4

Clips are made as those that the model was trained on, which a bundle of r3d export says of itself, and sent as
JPEG frames to its signature `frames`; a video's score is the mean of its clips, as in evaluation. Over REST it needs
requirements/client.txt alone, and no TensorFlow. The token in the environment variable R3D_SERVER_TOKEN goes with
every request, and SSL_CERT_FILE names a file of certificates to trust in place of the usual authorities. --json prints
one object a line: video, duration (seconds), clips, and classes (label and score, best first). --latency sends the
first clip of a video again and again, and prints the milliseconds in which 50, 95 and 99 % of the requests are
answered, and clips/s, for requests of 1 to 16 clips of which 1 to 16 are under way; the concurrency with the most
clips/s is that of the command that it ends with.
"""

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from r3d_keras import quiet
from r3d_keras.command_line import Command
from r3d_keras.commands import next_command
from r3d_keras.errors import UserError
from r3d_keras.options import Options, option, required
from r3d_keras.terminal import Progress, say, say_aside, say_data

if TYPE_CHECKING:
    from .server_access import Server


@dataclass(frozen=True, kw_only=True)
class ClientOptions(Options):
    """Which server, which videos, and what is printed."""

    title = "Flags"
    videos: tuple[str, ...] = option((), "Video files, folders of them, folders of frames, or addresses.")
    server: str = required(
        "localhost:8501",
        "HOST:PORT of the server (8501 is TF Serving's for REST, 8500 for gRPC), or https://HOST/PATH.",
    )
    model_name: str = required("actions", "Name of the model on the server.")
    protocol: str = option("rest", "rest, or grpc with tensorflow-serving-api.", choices=("rest", "grpc"))
    json: bool = option(False, "Print one JSON object a line instead of a table.")
    top_k: int | None = option(
        None,
        "Classes named for each video; 1 by default, of a model with loss=sigmoid all that reach the threshold.",
        minimum=1,
        maximum=5,
    )
    threshold: float | None = option(
        None,
        "Name no class with a lower score; 0 by default, of a model with loss=sigmoid 0.5.",
        minimum=0,
        maximum=1,
    )
    timeout: float = option(120.0, "Seconds in which each request must be answered.", minimum=0.001)
    concurrency: int = option(4, "Videos under way at a time.", minimum=1)
    latency: bool = option(False, "Measure the server with the first clip of the one video.")
    latency_seconds: float = option(5.0, "Seconds for each row of --latency.", minimum=0.01)


def main(options: ClientOptions) -> None:
    """Prints the classes of each video, or the latencies of the server."""
    quiet.hide_gpus()
    if not options.videos:
        raise UserError("no video named (for example: --server=localhost:8501 --model_name=actions video.mp4)")
    from r3d_keras.video.folders import describe_others, expand_folders

    from .server_access import connect

    videos, others = expand_folders(list(options.videos))
    if others:
        say_aside(describe_others(others))
    if any(isinstance(video, int) for video in videos):
        raise UserError("a camera has no end to answer about: python -m r3d_keras.predict takes live pictures")
    if options.latency and len(videos) != 1:
        raise UserError(f"--latency takes one video, not {len(videos)}")
    server = connect(options.server, options.model_name, options.protocol, options.timeout)
    if options.latency:
        _print_latencies(server, videos[0], options)
    else:
        _print_answers(server, videos, options)


def _print_answers(server: "Server", videos: list[str], options: ClientOptions) -> None:
    from .remote_videos import ask_about_videos

    failures = 0
    with Progress("client", None, "frames") as bar:
        for video, answer in ask_about_videos(server, videos, options.concurrency, bar.add):
            if isinstance(answer, UserError):
                failures += 1
                say_aside(f"error: {video}: {str(answer).removesuffix(f': {video}')}")
                continue
            for note in answer.notes:
                say_aside(f"note: {video}: {note}")
            classes = answer.best(options.top_k, options.threshold)
            if options.json:
                row = {"video": video, "duration": round(answer.duration, 3), "clips": answer.clips, "classes": classes}
                say_data(json.dumps(row, ensure_ascii=False))
            else:
                named = ", ".join(f"{each['label']} {100 * each['score']:.1f}%" for each in classes)
                say(f"{video}: {named or 'no class reaches the threshold'}")
    if failures:
        raise UserError(f"{failures} of {len(videos)} videos have no answer")
    _say_next(options, videos=tuple(map(str, videos[:1])), json=False, top_k=None, threshold=None, latency=True)


def _print_latencies(server: "Server", video: str, options: ClientOptions) -> None:
    from .latency import HEADER, measure_latencies
    from .remote_videos import first_clip

    frames = first_clip(video, server.describe())
    if not options.json:
        say(HEADER)
    rows = []
    for row in measure_latencies(server, frames, options.latency_seconds):
        rows.append(row)
        say_data(json.dumps(asdict(row)) if options.json else str(row))
    fastest = max(rows, key=lambda row: row.clips_per_second)
    _say_next(options, latency=False, latency_seconds=ClientOptions.latency_seconds, concurrency=fastest.concurrency)


def _say_next(options: ClientOptions, **changes: object) -> None:
    say(next_command("client", *COMMAND.words(options, **changes)), sys.stderr if options.json else sys.stdout)


COMMAND = Command(main, ClientOptions, arguments=("videos...",))

if __name__ == "__main__":
    COMMAND.run()
