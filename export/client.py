"""Asks a TF Serving server what happens in videos.

Examples:
    python -m export.client --server=localhost:8501 --model_name=actions video.mp4 folder_of_videos
    python -m export.client --server=localhost:8500 --protocol=grpc --model_name=actions --json --top_k=5 video.mp4
    python -m export.client --server=localhost:8501 --model_name=actions --latency video.mp4

Clips are made as those that the model was trained on, which a bundle of export.saved_model says of itself, and sent as
JPEG frames to its signature `frames`; a video's score is the mean of its clips, as in evaluation. Over REST it needs
requirements-client.txt alone, and no TensorFlow. --json prints one object a line: video, duration (seconds), clips, and
classes (label and score, best first). --latency sends the first clip of a video again and again, and prints the
milliseconds in which 50, 95 and 99 % of the requests are answered, and clips/s, for requests of 1 to 16 clips of which
1 to 16 are under way.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

from absl import flags

from r3d_keras import command_line
from r3d_keras.errors import UserError

SERVER = flags.DEFINE_string("server", None, "HOST:PORT of the server: 8501 is TF Serving's for REST, 8500 for gRPC.")
MODEL_NAME = flags.DEFINE_string("model_name", None, "Name of the model on the server.")
PROTOCOL = flags.DEFINE_enum("protocol", "rest", ["rest", "grpc"], "rest, or grpc with tensorflow-serving-api.")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object a line instead of a table.")
TOP_K = flags.DEFINE_integer("top_k", 1, "Classes named for each video; a server names five.", 1, 5)
TIMEOUT = flags.DEFINE_float("timeout", 120.0, "Seconds in which each request must be answered.", lower_bound=0.001)
CONCURRENCY = flags.DEFINE_integer("concurrency", 4, "Videos under way at a time.", lower_bound=1)
LATENCY = flags.DEFINE_bool("latency", False, "Measure the server with the first clip of the one video.")
LATENCY_SECONDS = flags.DEFINE_float("latency_seconds", 5.0, "Seconds for each row of --latency.", lower_bound=0.01)


def main(names: list[str]) -> None:
    address = command_line.require(SERVER.value, "server", "localhost:8501")
    model_name = command_line.require(MODEL_NAME.value, "model_name", "actions")
    if not names:
        raise UserError("no video named (for example: python -m export.client --server=... --model_name=... video.mp4)")

    from export.server_access import connect
    from r3d_keras.video.folders import describe_others, expand_folders

    videos, others = expand_folders(names)
    if others:
        print(describe_others(others), file=sys.stderr)
    if any(isinstance(video, int) for video in videos):
        raise UserError("a camera has no end to answer about: python -m r3d_keras.predict takes live pictures")
    server = connect(address, model_name, PROTOCOL.value, TIMEOUT.value)
    description = server.describe()
    if LATENCY.value:
        _print_latencies(server, videos, description)
        return
    failures = _classify(server, videos, description)
    if failures:
        raise UserError(f"{failures} of {len(videos)} videos have no answer")


def _classify(server, videos: list, description) -> int:
    """Prints the classes of each video, in order; returns how many have none."""
    from tqdm import tqdm

    from export.remote_videos import ask_about_video

    failures = 0
    with (
        ThreadPoolExecutor(CONCURRENCY.value) as pool,
        tqdm(unit="frames", dynamic_ncols=True, disable=not sys.stderr.isatty()) as bar,
    ):

        def ask(video):
            return ask_about_video(server, video, description, bar.update)

        try:
            for video, future in [(video, pool.submit(ask, video)) for video in videos]:
                try:
                    _print_answer(video, future.result())
                except UserError as error:
                    failures += 1
                    print(f"error: {video}: {str(error).removesuffix(f': {video}')}", file=sys.stderr)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C no more are asked about
    return failures


def _print_answer(video, answer) -> None:
    for note in answer.notes:
        print(f"note: {video}: {note}", file=sys.stderr)
    classes = answer.best(TOP_K.value)
    if JSON.value:
        value = {"video": str(video), "duration": round(answer.duration, 3), "clips": answer.clips, "classes": classes}
        print(json.dumps(value, ensure_ascii=False))
    else:
        print(f"{video}: " + ", ".join(f"{each['label']} {100 * each['score']:.1f}%" for each in classes))


def _print_latencies(server, videos: list, description) -> None:
    from dataclasses import asdict

    from export.latency import measure_latencies
    from r3d_keras.video.clips import VideoClips

    if len(videos) != 1:
        raise UserError(f"--latency takes one video, not {len(videos)}")
    clips = VideoClips(videos[0], description.recipe)
    first = next(iter(clips), None)
    if first is None:
        raise UserError(f"{clips.reason}: {videos[0]}")
    if not JSON.value:
        print(f"{'batch':>5} {'at once':>7} {'requests':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'clips/s':>8}")
    for row in measure_latencies(server, first.frames, LATENCY_SECONDS.value):
        if JSON.value:
            print(json.dumps(asdict(row)), flush=True)
            continue
        print(
            f"{row.batch_size:5} {row.concurrency:7} {row.requests:8} {row.p50:8.1f} {row.p95:8.1f} {row.p99:8.1f} "
            f"{row.clips_per_second:8.1f}",
            flush=True,
        )


if __name__ == "__main__":
    command_line.run(main)
