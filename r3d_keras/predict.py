"""Names what happens in video files.

Examples:
    python -m r3d_keras.predict --model=run1/model.keras video.mp4 other.avi
    python -m r3d_keras.predict --model=bundle --json videos/*.mp4

A video's score is the mean of its clips' probabilities. Where a video lies in a folder named after one of the
model's classes, that name is shown beside the answer.
"""

import json
import sys
from pathlib import Path

from absl import flags

from r3d_keras import command_line, quiet
from r3d_keras.errors import UserError

MODEL = flags.DEFINE_string("model", None, "A .keras file, or the folder of an exported bundle.")
TOP_K = flags.DEFINE_integer("top_k", 1, "Classes named for each video.", lower_bound=1)
JSON = flags.DEFINE_bool("json", False, "Print one JSON object a line instead of a table.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Clips scored at once.", lower_bound=1)


def main(videos: list[str]) -> None:
    model_path = command_line.require(MODEL.value, "model", "run1/model.keras")
    if not videos:
        raise UserError("no video named (for example: python -m r3d_keras.predict --model=run1/model.keras video.mp4)")
    quiet.import_tensorflow()

    from r3d_keras.evaluation.scorer import load_scorer

    scorer = load_scorer(model_path)
    truths = [_class_of_folder(video, scorer.metadata.label_names) for video in videos]
    failures = correct = 0
    for video, truth in zip(videos, truths, strict=True):
        try:
            answer = _classify(scorer, video)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failures += 1
            continue
        correct += answer["classes"][0]["label"] == truth
        _print_answer(answer, truth)
    if not JSON.value and any(truths):
        print(f"{correct} of {sum(truth is not None for truth in truths)} agree with the name of their folder")
    if failures:
        raise UserError(f"{failures} of {len(videos)} videos could not be read")


def _classify(scorer, video: str) -> dict:
    from r3d_keras.evaluation.scorer import score_video

    clips = score_video(scorer, video, BATCH_SIZE.value)
    mean = clips.mean(axis=0)
    names = scorer.metadata.label_names or [str(index) for index in range(len(mean))]
    best_first = (-mean).argsort(kind="stable")[: TOP_K.value]
    classes = [{"label": names[index], "score": float(mean[index])} for index in best_first]
    return {"video": video, "clips": len(clips), "classes": classes}


def _class_of_folder(video: str, label_names: tuple[str, ...]) -> str | None:
    name = Path(video).resolve().parent.name
    return name if name in label_names else None


def _print_answer(answer: dict, truth: str | None) -> None:
    if JSON.value:
        print(json.dumps({**answer, "folder": truth}, ensure_ascii=False), flush=True)
        return
    classes = ", ".join(f"{each['label']} {100 * each['score']:.1f}%" for each in answer["classes"])
    folder = f"   (folder: {truth})" if truth else ""
    print(f"{answer['video']}: {classes}{folder}", flush=True)


if __name__ == "__main__":
    command_line.run(main)
