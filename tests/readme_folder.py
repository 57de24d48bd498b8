"""What the commands of the READMEs name: videos, shards, models, bundles, checkpoints, all of them tiny and real."""

import ast
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.videos import moving_square, write_video

# Flags and arguments of functions that name what is made rather than what is read.
MADE = [
    "output",
    "output_dir",
    "output_file",
    "model_dir",
    "features_file",
    "contact_sheet",
    "statistics",
    "timeline",
    "render",
    "explain",
]
# The arguments of commands that do, as regular expressions.
MADE_BY = {
    "prepare": r"\w*shards",
    "data.prepare": r"\w*shards",
    "train": r"run\d",
    "convert": r".*\.keras",
    "export": "bundle|actions",
}
# What makes a training run small.
SMALL_RUN = {"frame_size": 32, "batch_size": 4, "epochs": 1}
SMALL_NETWORK = {"architecture": "resnet-10", "widen_factor": 0.125}


def write_model(path: Path) -> None:
    from r3d_keras.models import build_model, save_model

    path.parent.mkdir(parents=True, exist_ok=True)
    network, size = SMALL_NETWORK, SMALL_RUN["frame_size"]
    model = build_model(network["architecture"], label_names=["left", "right"], frame_size=size, widen_factor=0.125)
    save_model(model, path)


def write_run(path: Path) -> None:
    write_model(path / "model.keras")


def write_bundle(path: Path) -> None:
    from export import publish

    write_model(path.with_suffix(".keras"))
    publish(path.with_suffix(".keras"), path)


def write_checkpoint(path: Path) -> None:
    """Writes the published file of that name, but narrow: r3d50_K_200ep.pth, resnet-18-kinetics.pth, resnet18.pth."""
    from tests.convert.checkpoints import as_of_2018, save, state_dict, with_counters

    if match := re.fullmatch(r"resnet(\d+)\.pth", path.name):
        save(path, state_dict(f"frames-resnet-{match[1]}", 1000, widen_factor=0.125))
        return
    if match := re.match(r"r3d(\d+)_K_", path.name):
        architecture = f"resnet-{match[1]}"
        state = with_counters(state_dict(architecture, 700, widen_factor=0.125))
    else:
        architecture = path.name.removesuffix("-kinetics.pth")
        state = as_of_2018(state_dict(architecture, 400, shortcut="A", widen_factor=0.125))
    save(path, {"arch": architecture, "state_dict": state}, legacy=True)


def write_labels(path: Path) -> None:
    count = int(re.search(r"\d+", path.name)[0])
    path.write_text("".join(f"class {number}\n" for number in range(count)))


def write_flow_shards(path: Path) -> None:
    from data import prepare

    prepare("videos", path, modality="flow", workers=1)


def write_results(path: Path) -> None:
    """Writes what an evaluation writes into the folder of `path`, or the labels of its videos into a .csv file."""
    import r3d_keras

    write_run(Path("another"))
    evaluation = r3d_keras.evaluate("another", "shards")
    if path.suffix != ".csv":
        evaluation.write(path.parent)
        return
    videos, labels = evaluation.videos.names, evaluation.videos.labels
    rows = (f"{video},{('left', 'right')[label]},validation" for video, label in zip(videos, labels, strict=True))
    path.write_text("\n".join(["video,label,split", *rows]))


def write_a_video(path: Path) -> None:
    """Writes a video, as .avi whatever the suffix says: readers go by the content."""
    write_video(path.with_suffix(".avi"), moving_square(40, 1, seed=len(path.name)))
    path.with_suffix(".avi").rename(path)


def write_kinetics(path: Path) -> None:
    """Writes a miniature of Kinetics in the official layout: videos, and annotations beside them."""
    from tests.data.layouts import kinetics

    videos, annotations = kinetics(Path("kinetics_files"), write_a_video)
    videos.rename("k400")
    annotations.rename("k400_csv")


def write_sports1m(path: Path) -> None:
    """Writes two videos, and beside them lists in the form of Sports-1M's."""
    for name in ("one", "two"):
        write_a_video(path / f"{name}.mp4")
    Path("labels.txt").write_text("left\nright\n")
    Path("train_partition.txt").write_text("https://www.youtube.com/watch?v=one 0,1\n")
    Path("test_partition.txt").write_text("https://www.youtube.com/watch?v=two 1\n")


def write_files(path: Path, labels: tuple[str, str] = ("left", "right"), split: str = "validation") -> None:
    """Writes two videos in one folder, and beside it the csv file that tells their labels."""
    rows = ["path,label,split"]
    for name, label in zip(("one.mp4", "two.mp4"), labels, strict=True):
        write_a_video(path / name)
        rows.append(f"{name},{label},{split}")
    Path("videos.csv").write_text("\n".join(rows))


def write_label_shards(path: Path) -> None:
    from data import prepare

    write_files(Path("labeled"), ("left;right", "right"), "train")
    prepare("labeled", path, dataset="csv", annotations="videos.csv", workers=1)


def write_folder(path: Path) -> None:
    write_a_video(path / "video.mp4")


# Regular expressions of paths, and what lies there. Videos and shards are those of all tests.
WRITERS: dict[str, Callable[[Path], None]] = {
    r"[\w./-]+\.keras": write_model,
    r"[\w./-]+\.pth": write_checkpoint,
    r"kinetics\d+\.txt": write_labels,
    r"[\w./-]+\.(mp4|avi|mkv|mov)": write_a_video,
    r"run\d?": write_run,
    r"k400": write_kinetics,
    r"sports1m": write_sports1m,
    r"files": write_files,
    r"label_shards": write_label_shards,
    r"flow_shards": write_flow_shards,
    r"(results|rgb|flow)/\w+\.\w+|truth\.csv": write_results,
    r"bundle|actions": write_bundle,
    r"folder": write_folder,
}


def provide(paths: list[str], videos: Path, shards: Path) -> None:
    """Writes the paths that are known and missing into the working folder, `videos` and `shards` as copies of these."""
    shutil.copytree(videos, "videos")
    if any("shards" in path or path == "truth.csv" for path in paths):
        shutil.copytree(shards, "shards")
    if "kinetics.flags" in paths:
        shutil.copytree(shards, "kinetics/shards")
    for path in map(Path, paths):
        for pattern, write in WRITERS.items():
            if re.fullmatch(pattern, str(path)) and not path.exists():
                write(path)


def paths_of_command(words: list[str]) -> list[str]:
    """Returns what a command line may read: its words and the values of its flags, but those that name results."""
    paths = []
    for word in words:
        flag, equals, value = word.rpartition("=")
        if not equals or flag.lstrip("-") not in MADE:
            paths += value.split(",")
    for command, pattern in MADE_BY.items():
        if command in words:
            paths = [path for path in paths if not re.fullmatch(pattern, path)]
    return paths


def paths_of_python(example: str) -> list[str]:
    """Returns what a Python example may read: its texts, but those that it names as a result."""
    results = re.findall(r'(?:prepare|publish|save_model)\([^,]+, "([^"]+)"|model_dir="([^"]+)"', example)
    made = {name for pair in results for name in pair}
    texts = [node.value for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Constant)]
    return [text for text in texts if isinstance(text, str) and text not in made]


def words_of(command: str) -> list[str]:
    """Returns the words of a command, patterns of file names replaced by the files."""
    words = []
    for word in shlex.split(command):
        files = sorted(map(str, Path().glob(word))) if "*" in word else []
        words += files or [word]
    return words


def small_command(name: str, words: list[str]) -> list[str]:
    """Returns the words of a command and the flags that make it small, before what belongs to another program."""
    flags = {"prepare": {"workers": 1}, "evaluate": {"batch_size": 4}, "predict": {"batch_size": 4}}.get(name, {})
    if name == "train":
        fine_tuning = any(word.startswith("--weights=") for word in words)
        flags = SMALL_RUN if fine_tuning else {**SMALL_NETWORK, **SMALL_RUN}
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], *(f"--{flag}={value}" for flag, value in flags.items()), *words[end:]]


class SmallTraining(ast.NodeTransformer):
    """Changes the arguments of every TrainingConfig of a Python example to those of a small run."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if getattr(node.func, "attr", getattr(node.func, "id", "")) == "TrainingConfig":
            given = {word.arg: word.value for word in node.keywords}
            small = SMALL_RUN if "weights" in given else {**SMALL_NETWORK, **SMALL_RUN}
            given |= {name: ast.Constant(value) for name, value in small.items()}
            node.keywords = [ast.keyword(name, value) for name, value in given.items()]
        return node


def small_python(example: str) -> ast.Module:
    """Returns a Python example with small training runs."""
    return ast.fix_missing_locations(SmallTraining().visit(ast.parse(example)))
