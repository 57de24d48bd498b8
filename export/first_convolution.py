"""The first convolution of an OpenVINO network in int8, on gray levels as they are.

Normalized clips are signed, and processors multiply unsigned by signed bytes: a fifth of the rate is lost. Gray levels
are unsigned, and whole numbers besides, so that nothing is rounded. Where normalized clips are padded with zeros,
gray levels would have to be padded with means. Instead a channel tells where there is a clip: 255 there, 0 in the
padding; its weights take the means away. Three channels are read as four anyhow.
"""

import numpy as np

WHITE = 255
INT8_MAX = 127


def read_gray_levels(quantized, network) -> None:
    """Rewrites the first convolution of a network in int8 where normalization is all that stands before it.

    Args:
        quantized: what NNCF made of `network`, which stays in float32.
    """
    from openvino import opset15 as ops

    convolution = _first_convolution(quantized)
    before = _before(convolution)
    if convolution.input_value(1).get_node().get_type_name() == "Constant" or before is None:
        return
    clips, scale, shift = before
    kernel = _first_convolution(network).input_value(1).get_node().data
    weights, steps = _quantized_weights(kernel.astype(np.float64), scale, shift)
    low, high = (np.full([1] * 5, level, np.float32) for level in (0, WHITE))
    levels = ops.fake_quantize(clips, low, high, low, high, WHITE + 1)
    levels = ops.transpose(levels, np.array([0, 4, 1, 2, 3]))
    levels = ops.pad(levels, np.zeros(5, int), np.array([0, 1, 0, 0, 0]), "constant", np.float32(WHITE))
    weights = ops.multiply(ops.convert(ops.constant(weights), "f32"), ops.constant(steps))
    names = ("strides", "pads_begin", "pads_end", "dilations", "auto_pad")
    options = [convolution.get_attributes()[name] for name in names]
    convolution.output(0).replace(ops.convolution(levels, weights, *options).output(0))
    quantized.validate_nodes_and_infer_types()


def _first_convolution(network):
    return next(each for each in network.get_ordered_ops() if each.get_type_name() == "Convolution")


def _before(convolution):
    """Returns the clips of a convolution that reads them normalized, and scale and shift; None for any other."""
    value, scale, shift = convolution.input_value(0), 1.0, 0.0
    while (node := value.get_node()).get_type_name() != "Parameter":
        kind = node.get_type_name()
        if kind == "Add":
            shift = shift + scale * _constant(node)
        elif kind == "Multiply":
            scale = scale * _constant(node)
        elif kind not in ("Transpose", "FakeQuantize"):
            return None
        value = node.input_value(0)
    return value, scale, shift


def _constant(node) -> np.ndarray:
    return node.input_value(1).get_node().data.astype(np.float64).ravel()


def _quantized_weights(kernel: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns int8 weights with one channel more, and float32 steps, one for each channel that comes out.

    Args:
        kernel: float64 [out, in, time, height, width], of clips times `scale` plus `shift`.
    """
    by_channel = (1, -1, 1, 1, 1)
    kernel = kernel * np.broadcast_to(scale, kernel.shape[1]).reshape(by_channel)
    # A kernel of (clips * scale + shift) is the scaled kernel of (clips + shift / scale).
    offset = np.broadcast_to(shift / scale / WHITE, kernel.shape[1]).reshape(by_channel)
    presence = (kernel * offset).sum(axis=1, keepdims=True)
    largest = np.abs(np.concatenate([kernel, presence], axis=1)).max(axis=(1, 2, 3, 4), keepdims=True)
    steps = np.maximum(largest, np.finfo(np.float32).tiny) / INT8_MAX
    whole = np.round(kernel / steps)
    # What rounded weights take for the offset, rounded so that over all places hardly anything is left.
    presence = (whole * offset).sum(axis=1, keepdims=True)
    places = np.round(np.cumsum(presence.reshape(len(kernel), -1), axis=1))
    presence = np.diff(places, axis=1, prepend=0).reshape(presence.shape)
    weights = np.concatenate([whole, presence.clip(-INT8_MAX, INT8_MAX)], axis=1)
    return weights.astype(np.int8), steps.astype(np.float32)
