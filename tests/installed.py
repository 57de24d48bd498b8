"""What a user has after `pip install`: run with an environment that holds the wheel alone, outside the checkout.

python tests/installed.py FOLDER        (an empty folder to work in)
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

R3D = Path(sys.executable).parent / "r3d"
SMALL = ["--architecture=resnet-10", "--widen_factor=0.125", "--frame_size=32", "--batch_size=4", "--epochs=1"]


def write_videos(folder: Path) -> None:
    """Six videos a class, of a square that moves to the left or to the right."""
    for label, step in (("left", -2), ("right", 2)):
        (folder / label).mkdir(parents=True)
        for number in range(6):
            writer = cv2.VideoWriter(
                str(folder / label / f"{number}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48)
            )
            for frame in range(20):
                picture = np.full((48, 64, 3), 10 * number, np.uint8)
                column = (step * frame + 10 * number) % 54
                picture[10:20, column : column + 10] = 250
                writer.write(picture)
            writer.release()


def r3d(*arguments: str) -> str:
    """Runs the command, which must succeed; returns what it printed."""
    print("r3d", *arguments, flush=True)
    done = subprocess.run([R3D, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_commands() -> None:
    r3d("prepare", "videos", "shards", "--workers=2")
    assert "left" in r3d("inspect", "shards")
    r3d("train", "shards", "run1", *SMALL)
    r3d("evaluate", "run1", "shards", "--output_dir=results")
    assert "videos/left/0.avi" in r3d("predict", "run1", "videos/left/0.avi")
    r3d("export", "run1", "bundle")
    assert "videos/left/0.avi" in r3d("predict", "bundle", "videos/left/0.avi")
    assert "--checkpoint" in r3d("convert", "--help")
    assert "--server" in r3d("client", "--help")
    assert "--threshold" in r3d("demo", "--help")
    page = Path(importlib.util.find_spec("r3d_keras.export").origin).parent / "demo_page"
    assert sorted(file.name for file in page.iterdir()) == ["index.html", "page.css", "page.js"]
    assert "--results" in r3d("score", "--help")
    # A recipe is found by its name; its own data folder is not here.
    done = subprocess.run([R3D, "train", "--flagfile=kinetics.flags"], capture_output=True, text=True, check=False)
    assert (done.returncode, "kinetics/shards" in done.stderr) == (1, True), done


def use_from_python() -> None:
    import r3d_keras

    assert {"build_model", "load_model", "open_clips", "train", "evaluate", "predict"} <= set(dir(r3d_keras))
    (answer,) = r3d_keras.predict("run1", ["videos/right/0.avi"])
    print(answer)
    print(r3d_keras.evaluate("run1", "shards"))
    for name in ("data", "export", "tests", "train"):
        assert importlib.util.find_spec(name) is None, f"{name} lies at the top of site-packages"


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.path.remove(str(Path(__file__).resolve().parent))
    write_videos(Path("videos"))
    run_commands()
    use_from_python()
    print("installed: works")
