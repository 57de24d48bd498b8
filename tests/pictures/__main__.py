"""Draws the README's picture: what a model of the quickstart says of a video that it has never seen.

Example:
    python -m tests.pictures --model=quickstart/model --output=tests/pictures/motions.png

The video is rendered as those of the quickstart are, of one scene in which one motion follows another. `r3d predict
--timeline` gives the scores per second; above them stand frames of the video with the answer of their second.
"""

from dataclasses import dataclass

from r3d_keras.command_line import Command
from r3d_keras.errors import UserError
from r3d_keras.files import check_output_file
from r3d_keras.options import Options, option

MOTIONS = ("moving_right", "growing", "turning_clockwise", "moving_up")
FRAMES, FRAME_RATE = 60, 12  # of each motion


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    model: str = option("quickstart/model", "The quickstart's model.")
    output: str = option("tests/pictures/motions.png", "The .png file that is written.")
    seed: int = option(1, "Seed of the scene.")


def main(options: PictureOptions) -> None:
    check_output_file(options.output, "output", (".png",))

    import json
    import tempfile
    from pathlib import Path

    from tests.commands import run
    from tests.pictures.drawing import draw_answers, scene_of_motions
    from tests.videos import write_video

    frames = scene_of_motions(MOTIONS, FRAMES, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "motions.avi"
        write_video(video, frames, frame_rate=FRAME_RATE)
        flags = (f"--timeline={folder}", "--clip_stride=4", "--smoothing=1")
        done = run("-m", "r3d_keras.predict", f"--model={Path(options.model).resolve()}", *flags, video)
        if done.returncode:
            raise UserError(done.stderr.strip().removeprefix("error: "))
        (timeline,) = Path(folder).glob("*.timeline.json")
        answers = json.loads(timeline.read_text())
    draw_answers(Path(options.output), frames, FRAME_RATE, answers, MOTIONS)
    print(f"wrote {options.output}")


COMMAND = Command(main, PictureOptions)

if __name__ == "__main__":
    COMMAND.run()
