"""The command: every form of answer, streams over HTTP, long videos in bounded memory, mistakes."""

import contextlib
import csv
import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
from PIL import Image

import r3d_keras
from r3d_keras.models import save_model
from r3d_keras.video.clips import VideoClips
from r3d_keras.video.decoding import VideoReader
from r3d_keras.video.recipe import Recipe
from tests.commands import ROOT, call, refusal, run
from tests.input.test_frames import reference_view
from tests.video.ffmpeg import ffmpeg, make
from tests.videos import moving_square, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """100 frames, 4 seconds, of 48x64 pixels."""
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    write_video(path, moving_square(100, 1, seed=3), codec="mp4v")
    return path


def predict(model, *arguments):
    result = call("-m", "r3d_keras.predict", f"--model={model}", *arguments)
    assert result.returncode == 0, result.stderr
    return result


def test_json_and_csv_say_the_same(model, video, square_videos):
    videos = (video, square_videos / "validation")
    answers = [json.loads(line) for line in predict(model, "--json", "--top_k=2", *videos).stdout.splitlines()]
    assert len(answers) == 7
    assert answers[0]["duration"] == pytest.approx(4.0, abs=0.01)
    assert answers[0]["clips"] == 7
    assert set(answers[0]) == {"video", "folder", "duration", "clips", "classes"}
    rows = list(csv.DictReader(io.StringIO(predict(model, "--csv", "--top_k=2", *videos).stdout)))
    ours = [(a["video"], str(rank), c["label"]) for a in answers for rank, c in enumerate(a["classes"], 1)]
    assert [(row["video"], row["rank"], row["label"]) for row in rows] == ours
    scores = [each["score"] for answer in answers for each in answer["classes"]]
    np.testing.assert_allclose([float(row["score"]) for row in rows], scores, atol=1e-6)


def test_a_threshold_leaves_classes_out(model, video):
    (answer,) = map(json.loads, predict(model, "--json", "--top_k=2", "--threshold=0.5", video).stdout.splitlines())
    assert len(answer["classes"]) == 1
    assert answer["classes"][0]["score"] >= 0.5
    assert "no class reaches the threshold" in predict(model, "--threshold=1", video).stdout


def test_a_timeline_is_written(model, video, tmp_path):
    result = predict(model, f"--timeline={tmp_path}", "--segment_threshold=0.4", "--json", video)
    (path,) = tmp_path.glob("*.timeline.json")
    timeline = json.loads(path.read_text())
    printed = json.loads(result.stdout)
    assert {name: timeline[name] for name in printed} == printed
    scores = np.array(timeline["scores_per_second"])
    assert scores.shape == (4, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)
    for segment in timeline["segments"]:
        column = timeline["labels"].index(segment["label"])
        within = scores[int(segment["start"]) : int(np.ceil(segment["end"])), column]
        assert within.min() >= 0.4
        assert within.mean() == pytest.approx(segment["score"], abs=1e-4)
    assert cv2.imread(str(path.with_suffix(".png"))) is not None


def test_a_rendered_video_plays_and_shows_the_original(model, video, tmp_path):
    predict(model, f"--render={tmp_path / 'out.mp4'}", video)
    with VideoReader(tmp_path / "out.mp4") as rendered, VideoReader(video) as original:
        assert rendered.frame_rate == pytest.approx(25)
        frames, originals = list(rendered), list(original)
    assert len(frames) == len(originals) == 100
    assert frames[0].shape == (48 + 36, 64, 3)
    # Below the text the picture is the original's but for the second compression.
    assert np.abs(frames[50][40:48].astype(int) - originals[50][40:48]).mean() < 8
    # The mark wanders from left to right.
    marks = [
        (frame[48:, :, 0].astype(int) - frame[48:, :, 2]).sum(axis=0).argmax() for frame in (frames[10], frames[90])
    ]
    assert marks[0] < 16
    assert marks[1] > 48


@pytest.mark.parametrize("kind", ["a jump of hours", "beginning late", "H.264 with B-frames in avi"])
def test_a_timeline_of_odd_times_is_as_long_as_the_video(kind, model, tmp_path):
    predict(model, f"--timeline={tmp_path}", make(kind, tmp_path))
    timeline = json.loads(next(tmp_path.glob("*.timeline.json")).read_text())
    assert timeline["duration"] == pytest.approx(2.0, abs=0.05)
    scores = np.array(timeline["scores_per_second"], float)
    assert scores.shape[0] in (2, 3)
    assert np.isfinite(scores).all()


def test_a_name_that_begins_with_a_dash(model, video, tmp_path):
    (tmp_path / "-0abc_000001_000011.mp4").symlink_to(video)
    result = subprocess.run(
        [sys.executable, "-m", "r3d_keras.predict", f"--model={model}", "-0abc_000001_000011.mp4"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "a file whose name begins with a dash is written ./-0abc_000001_000011.mp4" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "-0abc_000001_000011.mp4: " in predict(model, tmp_path).stdout


def test_features_are_written(model, video, tmp_path):
    result = predict(model, "--features=pool", f"--features_file={tmp_path / 'f.npz'}", video)
    assert "7 clips of 1 video" in result.stdout
    with np.load(tmp_path / "f.npz") as arrays:
        assert arrays["features"].shape == (7, 64)
        assert arrays["videos"].tolist() == [str(video)] * 7
        assert arrays["times"][-1, 1] == pytest.approx(4.0, abs=0.01)


def test_an_explanation_is_drawn(model, video, tmp_path):
    predict(model, f"--explain={tmp_path}", video)
    (path,) = tmp_path.glob("*.explanation.png")
    assert cv2.imread(str(path)).shape == (18 + 256, 8 * 128, 3)


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(video):
    handler = functools.partial(SilentHandler, directory=video.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_video_over_http_is_that_of_the_file(model, video, address):
    (of_file,) = map(json.loads, predict(model, "--json", video).stdout.splitlines())
    (of_address,) = map(json.loads, predict(model, "--json", f"{address}/square.mp4").stdout.splitlines())
    assert of_address["video"] == f"{address}/square.mp4"
    assert of_address["clips"] == of_file["clips"]
    assert of_address["classes"][0]["score"] == pytest.approx(of_file["classes"][0]["score"], abs=1e-6)
    assert (
        f"cannot be reached, or is no video: {address}/none.mp4"
        in call("-m", "r3d_keras.predict", f"--model={model}", f"{address}/none.mp4").stderr
    )


def test_one_dead_address_among_several_costs_no_other(model, video, address):
    result = call(
        "-m", "r3d_keras.predict", f"--model={model}", "--json", f"{address}/none.mp4", f"{address}/square.mp4"
    )
    assert result.returncode == 1
    assert json.loads(result.stdout)["video"] == f"{address}/square.mp4"
    first, last = result.stderr.splitlines()
    assert first == f"error: cannot be reached, or is no video: {address}/none.mp4"
    assert last == "error: 1 of 2 videos could not be read"


def test_names_that_are_odd_to_others(model, video, tmp_path):
    """Neither UTF-8 nor mathematics; a picture beside videos makes no folder of frames."""
    names = [b"bad\xff.mp4", b"$x_$y.mp4", b"image_1.jpg"]
    for name in names:
        os.symlink(os.fsencode(video), os.fsencode(tmp_path) + b"/" + name)
    videos = (os.fsencode(tmp_path) + b"/bad\xff.mp4", tmp_path)
    result = run("-m", "r3d_keras.predict", f"--model={model}", f"--timeline={tmp_path / 'out'}", *videos)
    assert result.returncode == 0, result.stderr
    assert "bad\\xff.mp4: " in result.stdout
    assert "$x_$y.mp4: " in result.stdout
    assert "left out 2 files and folders" in result.stderr  # the name below a folder, and the picture
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_a_folder_of_frames_is_one_video(model, video, tmp_path):
    folder = tmp_path / "left" / "frames"
    folder.mkdir(parents=True)
    with VideoReader(video) as reader:
        for number, frame in enumerate(reader, start=1):
            cv2.imwrite(str(folder / f"image_{number:05d}.jpg"), frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    (of_file,) = map(json.loads, predict(model, "--json", video).stdout.splitlines())
    for named in (folder, tmp_path):
        (answer,) = map(json.loads, predict(model, "--json", named).stdout.splitlines())
        assert (answer["video"], answer["folder"], answer["clips"], answer["duration"]) == (str(folder), "left", 7, 4)
        assert answer["classes"][0]["score"] == pytest.approx(of_file["classes"][0]["score"], abs=0.02)
    predict(model, f"--render={tmp_path / 'out.mp4'}", folder)
    assert len(list(VideoReader(tmp_path / "out.mp4"))) == 100


def test_a_video_of_another_speed_gets_one_warning(model, video, tmp_path):
    loaded = r3d_keras.load_model(model)
    loaded.metadata = replace(loaded.metadata, recipe=Recipe(source_rates=(8.0, 10.0, 12.0)))
    save_model(loaded, tmp_path / "slow.keras")
    (line,) = predict(tmp_path / "slow.keras", video).stderr.splitlines()
    assert line.startswith(f"note: {video}: it has 25 frames a second, the training videos 8 to 12 (median 10)")


def test_a_video_that_stops_early_is_answered_and_named(model, tmp_path):
    write_video(tmp_path / "cut.avi", moving_square(100, 1, seed=3), codec="MJPG")
    whole = (tmp_path / "cut.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    result = predict(model, tmp_path / "cut.avi")
    answer, next_line = result.stdout.splitlines()
    assert answer.startswith(f"{tmp_path / 'cut.avi'}: ")
    assert next_line.startswith("next    r3d predict ")
    assert "of 100 frames; kept" in result.stderr


def test_a_model_of_one_channel_sees_the_brightness(video, tmp_path):
    keras.utils.set_random_seed(0)
    options = {"widen_factor": 0.125, "frame_size": 32, "input_channels": 1, "normalization": "kinetics-2020"}
    gray = r3d_keras.build_model("resnet-10", label_names=["left", "right"], **options)
    save_model(gray, tmp_path / "gray.keras")
    (answer,) = map(json.loads, predict(tmp_path / "gray.keras", "--json", "--top_k=2", video).stdout.splitlines())
    clips = []
    for clip in VideoClips(video, gray.metadata.recipe):
        pictures = [Image.open(io.BytesIO(frame)).convert("L") for frame in clip.frames]
        views = [reference_view(np.asarray(picture)[..., np.newaxis].repeat(3, axis=2), 32) for picture in pictures]
        clips.append(np.stack(views)[..., :1])
    logits = gray(np.stack(clips)).numpy()
    expected = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).mean(axis=0)
    scores = {each["label"]: each["score"] for each in answer["classes"]}
    assert [scores["left"], scores["right"]] == pytest.approx(expected.tolist(), abs=2e-3)


def test_outputs_of_several_videos_do_not_overwrite_each_other(model, video, tmp_path):
    paths = [tmp_path / name for name in ("d/v.mp4", "d/v.avi", "a/x/v.mp4", "b/x/v.mp4", f"{'n' * 249}.mp4")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(video)
    predict(model, f"--timeline={tmp_path / 'out'}", f"--explain={tmp_path / 'out'}", *paths)
    for pattern in ("*.timeline.json", "*.timeline.png", "*.explanation.png"):
        assert len(list((tmp_path / "out").glob(pattern))) == 5
    answered = {json.loads(path.read_text())["video"] for path in (tmp_path / "out").glob("*.json")}
    assert answered == set(map(str, paths))


@pytest.fixture
def endless(video, tmp_path):
    """The address of a stream whose server does not say where it ends, as a camera's does not."""
    ffmpeg("-i", video, "-c:v", "mpeg2video", "-q:v", 2, tmp_path / "stream.ts")
    content = (tmp_path / "stream.ts").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/stream.ts"
        server.shutdown()


def test_a_stream_without_an_end_is_named_alone(model, endless, video, tmp_path):
    command = ("-m", "r3d_keras.predict", f"--model={model}", endless)
    for more in ([f"--timeline={tmp_path / 'timeline'}"], [video]):
        assert f"{endless} is live: name it alone, without timeline" in refusal(*command, *more)


LONG = """
import resource, runpy, sys
command = runpy.run_module("r3d_keras.predict")["COMMAND"]
for video in sys.argv[2:]:
    assert command.call(["--model=" + sys.argv[1], "--json", video]) == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_length(model, tmp_path):
    lengths = (200, 4000)
    for frames in lengths:
        picture = np.zeros((240, 320, 3), np.uint8)
        write_video(tmp_path / f"{frames}.avi", [picture] * frames, codec="MJPG")  # 4000 decoded frames are 0.9 GB
    result = run("-c", LONG, model, *(tmp_path / f"{frames}.avi" for frames in lengths))
    assert result.returncode == 0, result.stderr
    short, peak, long, later_peak = result.stdout.splitlines()
    assert [json.loads(line)["clips"] for line in (short, long)] == [-(-frames // 16) for frames in lengths]
    assert int(later_peak) - int(peak) < 100  # MiB


def test_mistakes(model, video, tmp_path):
    keras.utils.set_random_seed(0)
    save_model(r3d_keras.build_model("resnet-10", 2, widen_factor=0.125, frame_size=32), tmp_path / "nameless.keras")
    command = ("-m", "r3d_keras.predict")
    for flags, message in [
        ((f"--model={tmp_path / 'nameless.keras'}", video), "has no label names: convert it again with its labels"),
        ((f"--model={model}", "--json", "--csv", video), "--json and --csv cannot be combined"),
        ((f"--model={model}", "--render=x.mp4", f"--timeline={tmp_path / 'x.t'}", video, video), "one video, not 2"),
        ((f"--model={model}", f"--render={tmp_path / 'x.txt'}", video), "a name that ends in .mp4, .mkv, .mov"),
        ((f"--model={model}", "--features=layer9", video), "has no stage 'layer9'"),
        ((f"--model={model}", "--features=pool", "--features_file=.", video), "cannot write --features_file=."),
        ((f"--model={model}", f"--render={tmp_path / 'no' / 'x.mp4'}", video), "a file in a folder that exists"),
        ((f"--model={model}", f"--render={video}", video), "is the video itself: name another file"),
        ((f"--model={model}", f"--timeline={model}", video), "cannot write to --timeline"),
        ((f"--model={model}", "7"), "no camera number 7"),
    ]:
        assert message in refusal(*command, *flags)
    assert not list(tmp_path.glob("x.*"))
    assert not list(ROOT.glob("features.npz"))


def test_names_command_no_terminal_and_data_keeps_them(model, video, tmp_path):
    """A name that makes a terminal red and begins another answer."""
    names = ("\x1b[31mred.avi", "two\nlines.avi")
    for name in names:
        shutil.copy(video, tmp_path / name)
    (tmp_path / "not\na\x1bvideo.avi").write_bytes(b"")
    result = call("-m", "r3d_keras.predict", model, tmp_path)
    assert "\x1b" not in result.stdout + result.stderr
    shown = [line.partition(": ")[0] for line in result.stdout.splitlines()[:2]]
    assert sorted(shown) == [f"{tmp_path}/\\x1b[31mred.avi", f"{tmp_path}/two\\nlines.avi"]
    assert "not\\na\\x1bvideo.avi" in result.stderr.splitlines()[0]
    printed = call("-m", "r3d_keras.predict", model, "--json", *(tmp_path / name for name in names)).stdout
    assert [json.loads(line)["video"] for line in printed.splitlines()] == [str(tmp_path / name) for name in names]
    printed = call("-m", "r3d_keras.predict", model, "--csv", *(tmp_path / name for name in names)).stdout
    assert [row["video"] for row in csv.DictReader(io.StringIO(printed))] == [str(tmp_path / name) for name in names]
