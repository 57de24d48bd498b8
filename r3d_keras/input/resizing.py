"""Resizing frames outside TensorFlow's kernels, as an operation of its graph."""

import cv2
import numpy as np
import tensorflow as tf
from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
from tensorflow.python.ops import script_ops

_BILINEAR = ResizeAlg.convolution(FilterType.bilinear)
# tf.numpy_function numbers its functions in each process anew. An input host runs the graph of a trainer, and so finds
# the function by a name.
_NAME = "r3d_keras.input.resizing"


def resize_frames(
    frames: list[tf.Tensor], columns: tf.Tensor, size: int, box: tf.Tensor | None = None, antialias: bool = True
) -> tf.Tensor:
    """Brings a part of each frame to `size` x `size` pixels, bilinearly.

    With `antialias` every value is PIL's or next to it: one in eight, because rows are resized before columns here,
    which takes three quarters of the time.

    Args:
        frames: uint8 [height, width, 3] each.
        columns: int32, first column and number of columns of the part; none of the others counts.
        box: float64, left, top, width and height within those columns of what is shown. The filter reaches beyond it.
            Everything by default, and always without `antialias`.

    Returns:
        uint8 [frames, size, size, 3].
    """
    box = tf.zeros([0], tf.float64) if box is None else box
    # Frames one by one: to stack them first takes as long as to resize their rows.
    (resized,) = tf.raw_ops.PyFuncStateless(
        input=[columns, box, size, antialias, *frames], token=_NAME, Tout=[tf.uint8]
    )
    return tf.ensure_shape(resized, [len(frames), size, size, 3])


def _resize(columns: np.ndarray, box: np.ndarray, size: int, antialias: bool, *frames: np.ndarray) -> np.ndarray:
    first, count = columns
    options = ResizeOptions(_BILINEAR, crop_box=CropBox(*box) if box.size else None)
    resized, resizer = np.empty((len(frames), size, size, 3), np.uint8), Resizer()
    for frame, result in zip(frames, resized, strict=True):
        part = frame[:, first : first + count]
        if antialias:
            source = ImageData(part.shape[1], part.shape[0], PixelType.U8x3, part.tobytes())
            target = ImageData(size, size, PixelType.U8x3)
            resizer.resize(source, target, options)
            result[:] = np.frombuffer(target.get_buffer(), np.uint8).reshape(result.shape)
        else:
            cv2.resize(part, (size, size), dst=result, interpolation=cv2.INTER_LINEAR)
    return resized


script_ops._py_funcs._funcs[_NAME] = _resize
