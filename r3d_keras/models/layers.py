"""The two layers that Keras does not have as the reference needs them."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("r3d_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation of [batch, time, height, width, channels] with PyTorch's constants and statistics.

    epsilon 1e-5; moving = 0.9 * moving + 0.1 * batch, where the moving variance takes the unbiased batch
    variance (N / (N - 1)) and the normalisation the biased one, as torch.nn.BatchNorm3d does. Under a
    tf.distribute strategy each replica normalises by its own statistics, and the first replica's moving ones are
    the model's, as under the reference's DataParallel.

    On TensorFlow, time is folded into the batch axis, which makes the fused kernel applicable (a fifth faster
    training of a 3D ResNet-18 on CPU); its batch variance comes out unbiased. Other backends, and float64, which
    the kernel lacks, use Keras's ops.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"momentum": 0.9, "epsilon": 1e-5, **kwargs})

    def call(self, inputs, training=None, mask=None):
        use_batch_statistics = bool(training) and self.trainable
        if keras.backend.backend() == "tensorflow" and self.compute_dtype != "float64":
            outputs, mean, unbiased_variance = self._fused(inputs, use_batch_statistics)
        else:
            outputs, mean, unbiased_variance = self._unfused(inputs, use_batch_statistics)
        if use_batch_statistics:
            keep = self.momentum
            self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
            self.moving_variance.assign(self.moving_variance * keep + unbiased_variance * (1.0 - keep))
        return outputs

    def _fused(self, inputs, use_batch_statistics: bool):
        import tensorflow as tf

        shape = tf.shape(inputs)
        channels = inputs.shape[-1]
        folded = tf.reshape(inputs, tf.stack([shape[0] * shape[1], shape[2], shape[3], channels]))
        empty = tf.zeros([0], tf.float32)
        outputs, mean, unbiased_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=folded,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=empty if use_batch_statistics else tf.convert_to_tensor(self.moving_mean),
            variance=empty if use_batch_statistics else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=use_batch_statistics,
        )
        outputs = tf.reshape(outputs, shape)
        outputs.set_shape(inputs.shape)
        return outputs, mean, unbiased_variance

    def _unfused(self, inputs, use_batch_statistics: bool):
        precision = "float64" if self.compute_dtype == "float64" else "float32"
        values = ops.cast(inputs, precision)
        if use_batch_statistics:
            mean, variance = ops.moments(values, axes=(0, 1, 2, 3))
            count = ops.cast(ops.prod(ops.shape(values)[:-1]), precision)
            unbiased_variance = variance * (count / ops.maximum(count - 1.0, 1.0))
        else:
            mean, variance = self.moving_mean, self.moving_variance
            unbiased_variance = variance
        outputs = ops.batch_normalization(
            values, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype), mean, unbiased_variance


@keras.saving.register_keras_serializable("r3d_keras")
class ZeroPaddedShortcut(keras.layers.Layer):
    """Shortcut type A: every `strides`-th position of all three axes, zero channels appended up to `filters`.

    It has no parameters, and it lets no gradient back: the reference detaches this branch, so the earlier
    stages learn through the residual branch alone.
    """

    def __init__(self, filters: int, strides: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides

    def call(self, inputs):
        step = self.strides
        subsampled = inputs[:, ::step, ::step, ::step, :]
        missing_channels = self.filters - inputs.shape[-1]
        padded = ops.pad(subsampled, [(0, 0)] * 4 + [(0, missing_channels)])
        return ops.stop_gradient(padded)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}
