"""The layers that Keras does not have as the reference needs them."""

import contextlib
import contextvars
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

# A thread begins with False: the replicas of a tf.distribute strategy are traced in threads of their own.
_keeps_statistics = contextvars.ContextVar("keeps_statistics", default=False)


@contextlib.contextmanager
def without_statistics_updates() -> Iterator[None]:
    """Batch normalization that is run within leaves its moving statistics as they are."""
    token = _keeps_statistics.set(True)
    try:
        yield
    finally:
        _keeps_statistics.reset(token)


@keras.saving.register_keras_serializable("r3d_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization of [batch, time, height, width, channels] with PyTorch's constants and statistics.

    epsilon 1e-5; moving = 0.9 * moving + 0.1 * batch, where the moving variance takes the unbiased batch
    variance (N / (N - 1)) and the normalization the biased one, as torch.nn.BatchNorm3d does. Under a
    tf.distribute strategy each replica normalizes by its own statistics, and the first replica's moving ones are
    the model's, as under the reference's DataParallel.

    Args:
        unbiased_variance: False gives the moving variance the biased batch variance, as Keras's own layer does; they
            differ by a factor of N / (N - 1), where N is clips x frames x height x width of a replica at that layer.
        synchronized: whether the replicas of a tf.distribute strategy normalize by the statistics of the global
            batch, as torch.nn.SyncBatchNorm does.

    On TensorFlow, time is folded into the batch axis, which makes the fused kernel applicable (a fifth faster
    training of a 3D ResNet-18 on CPU). In float32 on CPUs the statistics are not the kernel's, which adds up millions
    of numbers one by one: a variance of 4 million values came out wrong by up to 1.5 %. In bfloat16 they are, because
    its own rounding is no better, and others would cost 6 % of a step instead of 3 %. Other backends, float64, which
    the kernel lacks, and synchronized replicas use single operations.
    """

    def __init__(self, unbiased_variance: bool = True, **kwargs):
        super().__init__(**{"momentum": 0.9, "epsilon": 1e-5, **kwargs})
        self.unbiased_variance = unbiased_variance

    def call(self, inputs, training=None, mask=None):
        use_batch_statistics = bool(training) and self.trainable
        replicas = self._replicas_to_synchronize() if use_batch_statistics else None
        if keras.backend.backend() == "tensorflow" and self.compute_dtype != "float64" and replicas is None:
            outputs, mean, variance, count = self._fused(inputs, use_batch_statistics)
        else:
            outputs, mean, variance, count = self._unfused(inputs, use_batch_statistics, replicas)
        if use_batch_statistics and not _keeps_statistics.get():
            if not self.unbiased_variance:
                count = ops.cast(count, variance.dtype)
                variance *= ops.maximum(count - 1.0, 1.0) / count
            keep = self.momentum
            self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
            self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs

    def get_config(self):
        return {**super().get_config(), "unbiased_variance": self.unbiased_variance}

    def _replicas_to_synchronize(self):
        """Returns the tf.distribute context whose replicas share their statistics; None for a single one."""
        if not self.synchronized:
            return None
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        return context if context and context.num_replicas_in_sync > 1 else None

    def _fused(self, inputs, use_batch_statistics: bool):
        import tensorflow as tf

        shape = tf.shape(inputs)
        channels = inputs.shape[-1]
        folded = tf.reshape(inputs, tf.stack([shape[0] * shape[1], shape[2], shape[3], channels]))
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        count = tf.reduce_prod(shape[:-1])
        if use_batch_statistics and folded.dtype == tf.float32 and not tf.config.get_visible_devices("GPU"):
            outputs, mean, variance = _normalized_by_own_statistics(folded, scale, offset, self.epsilon)
            variance *= tf.cast(count, tf.float32) / tf.cast(tf.maximum(count - 1, 1), tf.float32)
        else:
            empty = tf.zeros([0], tf.float32)
            outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(  # the variance of a batch comes out unbiased
                x=folded,
                scale=scale,
                offset=offset,
                mean=empty if use_batch_statistics else tf.convert_to_tensor(self.moving_mean),
                variance=empty if use_batch_statistics else tf.convert_to_tensor(self.moving_variance),
                epsilon=self.epsilon,
                is_training=use_batch_statistics,
            )
        outputs = tf.reshape(outputs, shape)
        outputs.set_shape(inputs.shape)
        return outputs, mean, variance, count

    def _unfused(self, inputs, use_batch_statistics: bool, replicas=None):
        precision = "float64" if self.compute_dtype == "float64" else "float32"
        values = ops.cast(inputs, precision)
        count = ops.cast(ops.prod(ops.shape(values)[:-1]), precision)
        if not use_batch_statistics:
            mean, variance = self.moving_mean, self.moving_variance
        elif replicas is None:
            mean, variance = ops.moments(values, axes=(0, 1, 2, 3))
        else:
            mean, variance, count = self._global_moments(values, count, replicas)
        outputs = ops.batch_normalization(
            values, mean, variance, axis=-1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        unbiased_variance = variance * (count / ops.maximum(count - 1.0, 1.0))
        return ops.cast(outputs, self.compute_dtype), mean, unbiased_variance, count

    @staticmethod
    def _global_moments(values, count, replicas):
        import tensorflow as tf

        add = tf.distribute.ReduceOp.SUM

        def total(values):  # frame by frame: one sum of millions of float32 numbers loses their last digits
            return replicas.all_reduce(add, tf.reduce_sum(tf.reduce_sum(values, axis=(2, 3)), axis=(0, 1)))

        count = replicas.all_reduce(add, count)
        mean = total(values) / count
        # Squares of deviations, not of values: those would lose the digits of a variance far below the mean.
        return mean, total(tf.square(values - mean)) / count, count


def _normalized_by_own_statistics(frames, scale, offset, epsilon: float):
    """Returns float32 [frames, height, width, channels] normalized, and means and biased variances of its channels.

    The statistics are those of each frame, put together: float32 sums of a frame lose their last digit at most.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def normalized(frames, scale, offset):
        means = tf.reduce_mean(frames, [1, 2], keepdims=True)
        variances = tf.reduce_mean(tf.math.squared_difference(frames, means), [1, 2])
        means = means[:, 0, 0]
        mean = tf.reduce_mean(means, 0)
        variance = tf.reduce_mean(variances + tf.math.squared_difference(means, mean), 0)
        outputs, *_ = tf.raw_ops.FusedBatchNormV3(
            x=frames, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
        )

        def gradients(of_outputs, *_):
            return tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=of_outputs,
                x=frames,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros([0], tf.float32),
                epsilon=epsilon,
                is_training=True,
            )[:3]

        return (outputs, mean, variance), gradients

    return normalized(frames, scale, offset)


def set_batch_normalization(model: keras.Model, *, synchronized: bool, unbiased_variance: bool) -> None:
    """Sets the two options of every `BatchNormalization` in `model`; before its first training step is traced."""
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.synchronized = synchronized
            layer.unbiased_variance = unbiased_variance


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


@keras.saving.register_keras_serializable("r3d_keras")
class SamePadding(keras.layers.Layer):
    """Zeros around the clips [batch, time, height, width, channels] as TensorFlow's "SAME" pads them.

    After a kernel with these strides an axis of n has ceil(n / stride) places; where the zeros are odd in number, the
    end gets one more. How many there are depends on n, which may be known only when the layer runs.
    """

    def __init__(self, kernel_size: tuple[int, int, int], strides: tuple[int, int, int], **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)

    def call(self, inputs):
        padding = [(0, 0)]
        for length, size, stride in zip(ops.shape(inputs)[1:4], self.kernel_size, self.strides, strict=True):
            missing = (-(-length // stride) - 1) * stride + size - length
            missing = max(missing, 0) if isinstance(missing, int) else ops.maximum(missing, 0)
            padding.append((missing // 2, missing - missing // 2))
        return ops.pad(inputs, [*padding, (0, 0)])

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size, "strides": self.strides}


@keras.saving.register_keras_serializable("r3d_keras")
class GroupedConvolution(keras.layers.Conv3D):
    """A grouped convolution with the weights of Keras's own, for CPUs, where TensorFlow has none of three axes.

    Keras compiles one with XLA, whose convolutions are slow there. Here neighboring groups become one block of at
    least BLOCK_CHANNELS channels: an ordinary convolution whose kernel is zero between the groups of a block. Other
    backends, and TensorFlow with a GPU, convolve as Keras does. What is traced runs in the same process, so that the
    devices it sees are those it will run on; `export.grouped_convolution` is for a graph that goes elsewhere.
    """

    BLOCK_CHANNELS = 32

    def call(self, inputs):
        if keras.backend.backend() != "tensorflow" or self.data_format != "channels_last":
            return self.convolve_as_keras(inputs)
        import tensorflow as tf

        has_gpu = bool(tf.config.get_visible_devices("GPU"))
        return self.convolve_as_keras(inputs) if has_gpu else self.convolve_blocks(inputs)

    def convolve_as_keras(self, inputs):
        """Returns the convolution of `inputs` as Keras does it, compiled with XLA."""
        return super().call(inputs)

    def convolve_blocks(self, inputs):
        """Returns the same as `convolve_as_keras`, by ordinary convolutions of TensorFlow."""
        import tensorflow as tf

        kernels = self._block_kernels(tf.convert_to_tensor(self.kernel), inputs.shape[-1])
        strides = [1, *self.strides, 1]
        blocks = zip(tf.split(inputs, len(kernels), axis=-1), kernels, strict=True)
        outputs = [tf.nn.conv3d(block, kernel, strides, self.padding.upper()) for block, kernel in blocks]
        if self.use_bias:
            biases = tf.split(tf.convert_to_tensor(self.bias), len(outputs))
            outputs = [tf.nn.bias_add(block, bias) for block, bias in zip(outputs, biases, strict=True)]
        # Within the blocks TensorFlow fuses bias and activation into the convolutions.
        return tf.concat([self.activation(block) for block in outputs], axis=-1)

    def _block_kernels(self, kernel, channels: int) -> list:
        """Returns a kernel [*kernel_size, in, out] for each block, of the groups' kernels [*kernel_size, 1, out]."""
        import tensorflow as tf

        group_channels, filters = channels // self.groups, kernel.shape[-1] // self.groups
        in_block = 1  # groups in a block: a divisor of all groups
        while in_block * group_channels < self.BLOCK_CHANNELS and self.groups % (2 * in_block) == 0:
            in_block *= 2
        own = tf.constant(np.kron(np.eye(in_block), np.ones((group_channels, filters))), kernel.dtype)
        parts = tf.split(kernel, self.groups // in_block, axis=-1)
        return [tf.tile(part, [1, 1, 1, in_block, 1]) * own for part in parts]
