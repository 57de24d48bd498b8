"""Requests that a server runs when it loads a version, before it answers anybody."""

from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from r3d_keras.files import whole_file
from r3d_keras.metadata import Metadata

from .bare_session import Session

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"  # the name that TF Serving looks for


def moving_frames(count: int, height: int, width: int) -> np.ndarray:
    """Returns colored waves that move, uint8 [count, height, width, 3]: smooth as videos are, unlike noise."""
    time, row, column, channel = np.ogrid[:count, :height, :width, :3]
    waves = np.sin(row / 9.0 + time / 3.0 + channel) + np.cos(column / 13.0 - time / 5.0 + 2.0 * channel)
    return (127.5 + 63.5 * waves).astype(np.uint8)


def warm_up_inputs(metadata: Metadata) -> dict[str, dict[str, np.ndarray]]:
    """Returns inputs for every signature, by its name: one clip, or a video of two windows."""
    frames, size = metadata.clip_frames, metadata.frame_size
    moving = moving_frames(2 * frames - 1, size + size // 4, size + size // 2)
    clips = moving[np.newaxis, :frames, ..., : metadata.channels]
    files = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in moving]
    return {
        "serving_default": {"clips": clips},
        "frames": {"frames_bytes": np.array([files[:frames]], object)},
        "video": {"frames_bytes": np.array([[*files, b""]], object)},
        "features": {"clips": clips},
        "describe": {"request": np.array([b""], object)},
    }


def write_warm_up(version: Path, inputs: dict[str, dict[str, np.ndarray]], model_name: str, run: Session) -> None:
    """Runs each of `inputs` through the bundle in the folder `version`, and writes them as its warm-up requests.

    Raises what the bundle raises: a request that does not fit would make a server's loading fail.
    """
    for signature, values in inputs.items():
        run(signature, values)
    path = version / WARM_UP_FILE
    path.parent.mkdir()
    with whole_file(path) as partial, tf.io.TFRecordWriter(str(partial)) as writer:
        for signature, values in inputs.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = model_name, signature
            for name, value in values.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
