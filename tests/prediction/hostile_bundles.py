"""Bundles that do more than arithmetic when they are loaded or asked, each with a genuine model card."""

import json
from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from r3d_keras.metadata import Metadata

MARKER = "touched"


def probabilities(clips) -> tf.Tensor:
    return tf.zeros([tf.shape(clips)[0], 2]) + 0.5


def writes_a_file(clips, folder: str):
    tf.io.write_file(f"{folder}/{MARKER}", "x")
    return probabilities(clips)


def reads_a_file(clips, folder: str):
    return probabilities(clips) * tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)


def lists_files(clips, folder: str):
    return probabilities(clips) + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32)


def calls_python(clips, folder: str):
    return tf.reshape(tf.py_function(lambda: 0.5, [], tf.float32), [1, 1]) + probabilities(clips)


def prints_into_a_file(clips, folder: str):
    tf.print("x", output_stream=f"file://{folder}/{MARKER}")
    return probabilities(clips)


def saves_a_tensor(clips, folder: str):
    tf.raw_ops.SaveV2(prefix=f"{folder}/{MARKER}", tensor_names=["x"], shape_and_slices=[""], tensors=[tf.zeros([1])])
    return probabilities(clips)


def saves_a_tensor_within_a_branch(clips, folder: str):
    return tf.cond(tf.size(clips) > 0, lambda: saves_a_tensor(clips, folder), lambda: probabilities(clips))


def reads_lines(clips, folder: str):
    lines = tf.data.TextLineDataset("/etc/hostname").reduce(0, lambda count, _: count + 1)
    return probabilities(clips) + tf.cast(lines, tf.float32)


# function of a signature: the operation by which it is refused, as a regular expression
OPERATIONS = {
    writes_a_file: "WriteFile",
    reads_a_file: "ReadFile",
    lists_files: "MatchingFiles",
    calls_python: "EagerPyFunc",
    prints_into_a_file: "(PrintV2|StringFormat)",
    saves_a_tensor: "SaveV2",
    saves_a_tensor_within_a_branch: "SaveV2",
    reads_lines: "(TextLineDataset|TensorSliceDataset)",
}


def write_bundle(folder: Path, metadata: Metadata, function=None, module: tf.Module | None = None) -> Path:
    """Writes a bundle whose signature is `function` of clips and of the folder beside it, or plain; returns it."""
    module = module or tf.Module()
    shape = [None, metadata.clip_frames, metadata.frame_size, metadata.frame_size, metadata.channels]
    function = function or (lambda clips, _: probabilities(clips))
    serve = tf.function(
        lambda clips: {"logits": function(clips, str(folder))}, [tf.TensorSpec(shape, tf.uint8, "clips")]
    )
    bundle = folder / "bundle"
    tf.saved_model.save(module, str(bundle), signatures={"serving_default": serve})
    write_card(bundle, {"metadata": asdict(metadata)})
    return bundle


def write_card(bundle: Path, card) -> None:
    (bundle / "assets").mkdir(exist_ok=True)
    (bundle / "assets" / "model_card.json").write_text(json.dumps(card))
