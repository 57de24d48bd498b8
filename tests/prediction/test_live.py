"""Live pictures: ffmpeg and small servers on loopback send MPEG-TS as it suits a test; answers are on the newest clip.

No test depends on how fast this machine is: what is sent, answered and dropped is counted.
"""

import contextlib
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from r3d_keras.prediction.options import AnswerOptions
from r3d_keras.prediction.prediction import answer_videos
from r3d_keras.prediction.scorer import load_scorer
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.live import LiveClips, open_live
from r3d_keras.video.recipe import Recipe
from tests.commands import call, free_port, refusal
from tests.prediction.small_model import small_model
from tests.video.ffmpeg import EXECUTABLE, ffmpeg

RATE = 25
Send = Callable[[bytes], None]


def stream_of(folder: Path, frames: int, size: str = "160x120") -> bytes:
    """Returns an MPEG-TS of pictures whose brightness is their number modulo 50, 4 gray levels each."""
    picture = (
        f"color=black:s={size}:r={RATE},format=yuv420p,geq=lum='16+mod(4*N,200)':cb=128:cr=128,trim=end_frame={frames}"
    )
    path = folder / f"{frames}x{size}.ts"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "mpeg2video", "-q:v", 2, "-bf", 0, "-g", 10, path)
    return path.read_bytes()


@contextlib.contextmanager
def serving(script: Callable[[Send], None]) -> Iterator[str]:
    """Serves over HTTP, without a length, what `script` sends; yields the address. Only the first client is served."""
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not lock.acquire(blocking=False):
                return self.send_error(503)
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                script(self.wfile.write)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/stream.ts"
        server.shutdown()


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def numbers_of(files: list[bytes]) -> list[int]:
    """Reads the numbers of `stream_of` from the brightness of pictures."""
    grays = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE).mean() for file in files]
    return [round(gray * 219 / 255 / 4) % 50 for gray in grays]


def forbid(line: str) -> None:
    raise AssertionError(line)


def answered_frames(answers: list[dict]) -> int:
    return sum(round((each["end"] - each["begin"]) * RATE) for each in answers)


def predict_json(model: Path, address: str) -> tuple[list[dict], str]:
    result = call("-m", "r3d_keras.predict", f"--model={model}", "--json", address)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_who_asks_late_gets_the_newest_frames(tmp_path):
    """Of 150 frames, 16 are asked for early and 16 at the end: the other 118 are dropped."""
    content, is_taken = stream_of(tmp_path, 150), threading.Event()
    half = len(content) // 2 // 188 * 188  # enough for FFmpeg to know the stream

    def script(send):
        send(content[:half])
        is_taken.wait()
        send(content[half:])

    with serving(script) as address, LiveClips(open_live(address), Recipe(), forbid) as clips:
        asked = iter(clips)
        first = next(asked)
        assert numbers_of(first.frames) == [number % 50 for number in range(first.dropped, first.dropped + 16)]
        is_taken.set()
        wait_for(lambda: clips.dropped == 118)
        newest = next(asked)
        assert numbers_of(newest.frames) == [number % 50 for number in range(134, 150)]
        assert newest.dropped == 118
        assert (newest.begin, newest.end) == (pytest.approx(134 / RATE), pytest.approx(150 / RATE))
        assert first.arrival < newest.arrival
        assert next(asked, None) is None


@pytest.mark.parametrize(
    "changes",
    [{}, {"clip_stride": 8}, {"clip_stride": 20}, {"frame_rate": 10.0}, {"frame_stride": 2}, {"modality": "flow"}],
    ids=str,
)
def test_who_asks_in_time_gets_the_clips_of_a_file(changes, tmp_path):
    """Here the reader waits while a full window is not yet taken, as if every answer came at once."""
    content, recipe = stream_of(tmp_path, 90), Recipe(clip_frames=8, **changes)
    expected = list(VideoClips(tmp_path / "90x160x120.ts", recipe))
    assert len(expected) > 2

    class Slow(LiveClips):
        def _add(self, *frame):
            wait_for(lambda: len(self._window) < self._recipe.clip_frames)
            super()._add(*frame)

    with serving(lambda send: send(content)) as address, Slow(open_live(address), recipe, forbid) as clips:
        live = list(clips)
    assert [clip.frames for clip in live] == [clip.frames for clip in expected]
    assert [(clip.begin, clip.end) for clip in live] == [(clip.begin, clip.end) for clip in expected]
    assert live[-1].dropped == 0


def test_a_slow_model_drops_what_it_has_no_time_for(tmp_path):
    """ffmpeg sends 1500 frames as fast as they are taken, and a wide network needs as long as for dozens of them."""
    wide = small_model(tmp_path / "wide.keras", widen_factor=1.0, frame_size=112)
    url = f"http://127.0.0.1:{free_port()}/"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=60")
    server = (EXECUTABLE, "-loglevel", "error", *picture, "-c:v", "mpeg2video", "-f", "mpegts", "-listen", "1", url)
    with subprocess.Popen(server) as process:
        wait_for(lambda: is_listening(url))
        answers, notes = predict_json(wide, url)
        assert process.wait(60) == 0
    assert answers[-1]["dropped_frames"] > 16
    assert answered_frames(answers) + answers[-1]["dropped_frames"] == 1500
    assert answers[-1]["end"] == pytest.approx(60, abs=0.01)
    for earlier, later in pairwise(answers):
        # What was dropped lies between the two clips, and nowhere else.
        dropped = later["dropped_frames"] - earlier["dropped_frames"]
        assert later["begin"] == pytest.approx(earlier["end"] + dropped / RATE, abs=0.01)
    assert set(answers[0]) == {
        *("video", "folder", "duration", "clips", "classes"),
        *("begin", "end", "latency_ms", "dropped_frames"),
    }
    assert min(each["latency_ms"] for each in answers) > 0
    assert {each["video"] for each in answers} == {url}
    assert "has ended" not in notes


def is_listening(url: str) -> bool:
    """Tells by the system's own table: to connect would use up ffmpeg's only client."""
    port = int(url.split(":")[2].rstrip("/"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


@pytest.mark.parametrize(
    ("receiver", "sender"),
    [("tcp://127.0.0.1:{}", "tcp://127.0.0.1:{}?listen"), ("udp://127.0.0.1:{}", "udp://127.0.0.1:{}?pkt_size=1316")],
)
def test_mpeg_ts_over_tcp_and_udp(receiver, sender, model):
    """A UDP stream has no beginning and no end: the reader takes what comes, and here it is left."""
    port = free_port()
    picture = ("-re", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=60")
    server = (EXECUTABLE, "-loglevel", "error", *picture, "-c:v", "mpeg2video", "-f", "mpegts", sender.format(port))
    with subprocess.Popen(server) as process:
        if "tcp" in sender:
            wait_for(lambda: is_listening(f"tcp://127.0.0.1:{port}/"))
        answers = answer_videos(load_scorer(model), [receiver.format(port)], AnswerOptions(), forbid)
        times = [(answer.moment.begin, answer.moment.end) for answer in islice(answers, 4)]
        answers.close()
        process.kill()
    assert len(times) == 4
    assert all(later[0] >= earlier[1] - 1e-3 for earlier, later in pairwise(times))


def test_a_stall_is_reported_and_recovered_from(model, tmp_path):
    """The server goes on when it reads that the command has reported the stall."""
    content, is_reported, lines = stream_of(tmp_path, 100), threading.Event(), []

    def on_note(line):
        lines.append(line)
        is_reported.set()

    def script(send):
        send(content[: len(content) // 2 // 188 * 188])
        is_reported.wait()
        send(content[len(content) // 2 // 188 * 188 :])

    with serving(script) as address:
        answers = list(answer_videos(load_scorer(model), [address], AnswerOptions(), on_note))
    assert lines == [f"{address}: no frame for 5 s (a stream ends after 15 s without data)"]
    documents = [answer.to_dict() for answer in answers]
    assert documents[-1]["end"] == pytest.approx(4.0, abs=0.01)
    assert answered_frames(documents) + documents[-1]["dropped_frames"] == 100


@pytest.mark.slow
def test_a_stream_that_falls_silent_has_ended_after_a_while(model, tmp_path):
    content, is_over = stream_of(tmp_path, 100), threading.Event()

    def script(send):
        send(content)
        is_over.wait()

    with serving(script) as address:
        answers, notes = predict_json(model, address)
        is_over.set()
    assert notes.splitlines()[-3:] == [
        f"note: {address}: no frame for 5 s (a stream ends after 15 s without data)",
        f"note: {address} has ended: no data for 15 s",
        f"next    r3d export {model} bundle",
    ]
    assert answered_frames(answers) + answers[-1]["dropped_frames"] == 100


def test_a_connection_that_is_cut_is_an_end(model, tmp_path):
    """Half of the frames are there when the server breaks off in the middle of a packet."""
    content = stream_of(tmp_path, 100)
    with serving(lambda send: send(content[: len(content) // 2 + 77])) as address:
        answers, _ = predict_json(model, address)
    sent = answered_frames(answers) + answers[-1]["dropped_frames"]
    assert 40 <= sent <= 60
    assert answers[-1]["end"] == pytest.approx(sent / RATE, abs=0.01)


def test_a_stream_shorter_than_a_clip_is_answered(model, tmp_path):
    content = stream_of(tmp_path, 10)
    with serving(lambda send: send(content)) as address:
        answers, _ = predict_json(model, address)
    assert [(each["begin"], each["end"], each["dropped_frames"]) for each in answers] == [(0.0, 0.4, 0)]


def test_frames_of_another_size_are_brought_to_the_first(tmp_path):
    """40 frames of 160x120, then 40 of 96x128, of which the command ffmpeg shows 79 as well."""
    content = stream_of(tmp_path, 40) + stream_of(tmp_path, 40, "96x128")
    (tmp_path / "both.ts").write_bytes(content)
    command = [EXECUTABLE, "-i", tmp_path / "both.ts", "-fps_mode", "passthrough", "-f", "framecrc", "-"]
    frames = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    frames = sum(not line.startswith("#") for line in frames)
    sizes, shown = set(), 0
    with serving(lambda send: send(content)) as address, LiveClips(open_live(address), Recipe(), forbid) as clips:
        for clip in clips:
            sizes |= {cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR).shape for file in clip.frames}
            shown += round((clip.end - clip.begin) * RATE)
    assert sizes == {(120, 160, 3)}
    assert shown + clips.dropped == frames == 79


def test_the_command_says_it_in_a_line_each(model, tmp_path):
    content = stream_of(tmp_path, 100)
    with serving(lambda send: send(content)) as address:
        result = call("-m", "r3d_keras.predict", f"--model={model}", address)
    assert result.returncode == 0
    *lines, last = result.stdout.splitlines()
    assert lines
    for line in lines:
        assert line.startswith(f"{address} at ")
        assert " ms, " in line
        assert line.endswith(" frames dropped)")
    assert last == f"next    r3d export {model} bundle"


def test_nothing_there_is_one_line(model):
    for scheme in ("http", "tcp"):
        address = f"{scheme}://127.0.0.1:{free_port()}"
        message = refusal("-m", "r3d_keras.predict", f"--model={model}", address)
        assert message == f"cannot be reached, or is no video: {address}"
