"""Models for other runtimes, through Keras's own export, each compared in its runtime with the model it came from."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

from r3d_keras.errors import UserError, first_line
from r3d_keras.models.initial_values import skipped_initial_values
from r3d_keras.models.layers import GroupedConvolution
from r3d_keras.prediction.runtimes import LOADERS

from .grouped_convolution import BlockConvolution


@dataclass(frozen=True)
class Format:
    """A format.

    file_name   what Keras writes
    precisions  in which the layers of the file can be
    """

    file_name: str
    precisions: tuple[str, ...] = ("float32",)


FORMATS = {
    "onnx": Format("model.onnx"),
    # Its converter leaves 3D convolutions in float32 when it is told to bring a network to int8.
    "litert": Format("model.tflite"),
    "openvino": Format("model.xml", ("float32", "int8")),
}


# What pools planes as a layer pools clips: of equal windows, the average of the averages is that of all.
PLANAR_POOLINGS = {keras.layers.MaxPooling3D: ops.max_pool, keras.layers.AveragePooling3D: ops.average_pool}


class PlanarPooling(keras.layers.Layer):
    """A pooling of [batch, time, height, width, channels] as two of planes, which LiteRT has; the same values."""

    def __init__(self, pool: Callable, pool_size: tuple[int, int, int], strides: tuple[int, int, int], **options):
        super().__init__(**options)
        self._pool, self._pool_size, self._strides = pool, pool_size, strides

    def call(self, clips):
        _, time, height, width, channels = clips.shape
        planes = ops.reshape(clips, (-1, height, width, channels))
        planes = self._pool(planes, self._pool_size[1:], self._strides[1:])
        height, width = planes.shape[1:3]
        lines = ops.reshape(planes, (-1, time, height * width, channels))
        lines = self._pool(lines, (self._pool_size[0], 1), (self._strides[0], 1))
        return ops.reshape(lines, (-1, lines.shape[1], height, width, channels))


def _for_other_runtimes(network: keras.Model, clips: np.ndarray, planar_pooling: bool) -> keras.Model:
    """Returns the same network, for clips of one size, of layers that converters know."""

    def clone(layer):
        if planar_pooling and type(layer) in PLANAR_POOLINGS and layer.padding == "valid":
            return PlanarPooling(PLANAR_POOLINGS[type(layer)], layer.pool_size, layer.strides, name=layer.name)
        layer_class = BlockConvolution if isinstance(layer, GroupedConvolution) else type(layer)
        return layer_class.from_config(layer.get_config())

    given = keras.Input(clips.shape[1:], dtype="float32", name="clips")
    with skipped_initial_values():
        other = keras.models.clone_model(network, input_tensors=given, clone_function=clone)
    other.set_weights(network.get_weights())
    return other


def write_format(name: str, network: keras.Model, clips: np.ndarray, folder: Path) -> np.ndarray:
    """Writes a model in the format `name` into `folder`, and returns the logits that its runtime gives.

    Args:
        network: from clips to logits, in float32.
        clips: uint8 [batch, frames, size, size, channels]; the file takes any number of clips of this size, float32 0
            to 255.

    Raises UserError when a package is missing, or the converter or the runtime cannot do it, with its reason.
    """
    row = FORMATS[name]
    path = folder / row.file_name
    signature = [keras.InputSpec(shape=(None, *clips.shape[1:]), dtype="float32", name="clips")]
    if name == "litert" or any(isinstance(layer, GroupedConvolution) for layer in network.layers):
        network = _for_other_runtimes(network, clips, planar_pooling=name == "litert")
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            network.export(str(path), format=name, input_signature=signature, verbose=False)
        return LOADERS[row.file_name](path)(clips.astype(np.float32))
    except ImportError as error:
        raise UserError(f"format={name} needs: pip install 'r3d_keras[formats]' ({error})") from error
    except Exception as error:  # every converter and runtime has errors of its own
        raise UserError(f"{name} cannot hold this model: {first_line(error)}") from error
