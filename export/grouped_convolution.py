"""Grouped convolutions of a network that is run elsewhere than where it was exported."""

import tensorflow as tf

from r3d_keras.models.layers import GroupedConvolution


class PortableConvolution(GroupedConvolution):
    """Its graph holds both ways to convolve, and takes the one for the device on which a server runs it.

    Not for training: XLA (`jit_compile`) crashes on the gradient of such a choice in TensorFlow 2.21.
    """

    def call(self, inputs):
        """See `keras.layers.Conv3D`; channels last."""
        outputs = tf.switch_case(
            tf.raw_ops.DeviceIndex(device_names=["CPU"]),  # 0 on a CPU, 1 on any other device
            [lambda: self.convolve_blocks(inputs), lambda: self.convolve_as_keras(inputs)],
        )
        # The choice hides that the batch is that of `inputs`, without which TensorFlow fuses no addition after it.
        return tf.reshape(outputs, tf.concat([tf.shape(inputs)[:1], tf.shape(outputs)[1:]], axis=0))


class BlockConvolution(GroupedConvolution):
    """Convolves in blocks on every device: other runtimes know neither the choice nor XLA."""

    def call(self, inputs):
        """See `keras.layers.Conv3D`; channels last."""
        return self.convolve_blocks(inputs)
