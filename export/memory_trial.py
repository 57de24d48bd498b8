"""How much memory a server of a bundle takes: a trial in a process that has TensorFlow, and nothing of Keras.

As when a new version replaces another, two of them are loaded; as under load, every thread of the server runs a batch.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from r3d_keras import quiet
from r3d_keras.errors import UserError
from r3d_keras.metadata import Metadata
from r3d_keras.quiet import WITHOUT_GPUS

WINDOWS = 16  # of the video in each request: so many go through the network at once


def measure_peak_memory(version: Path, metadata: Metadata, batch_size: int, threads: int) -> int:
    """Returns the most memory that the trial of a version's folder had in use, in bytes.

    Args:
        metadata: of its model.
        batch_size: clips of a batch.
        threads: that run batches at a time: clips first, and then videos of frames as the recipe makes them.

    The trial runs on the CPU: what a GPU's memory holds is not counted. Raises UserError when it is killed.
    """
    frames, size, height = metadata.clip_frames, metadata.frame_size, metadata.recipe.short_side
    trial = {
        "version": str(version),
        "threads": threads,
        "clips": [batch_size, frames, size, size, metadata.channels],
        "video_frames": frames + (WINDOWS - 1) * metadata.recipe.clip_stride,
        "frame": [height, height * 16 // 9, 3],
    }
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.memory_trial", json.dumps(trial)],
        env={**os.environ, **WITHOUT_GPUS, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode < 0:
        raise UserError("a server of this model would take more memory than this machine has")
    if done.returncode:
        raise RuntimeError(f"the trial of a bundle failed: {done.stderr}")
    return int(done.stdout)


def _run_trial(version: str, threads: int, clips: list[int], video_frames: int, frame: list[int]) -> int:
    quiet.import_tensorflow()
    import tensorflow as tf

    from r3d_keras.training.memory import peak_memory

    from .bare_session import open_bundle

    file = tf.io.encode_jpeg(tf.cast(tf.random.uniform(frame, 0, 256, tf.int32), tf.uint8)).numpy()
    requests = (
        ("serving_default", {"clips": np.zeros(clips, np.uint8)}),
        ("video", {"frames_bytes": np.full((1, video_frames), file, object)}),
    )
    with open_bundle(Path(version)), open_bundle(Path(version)) as run, ThreadPoolExecutor(threads) as pool:
        for request in requests:
            list(pool.map(lambda each: run(*each), [request] * threads))
    return peak_memory()


if __name__ == "__main__":
    print(_run_trial(**json.loads(sys.argv[1])))
