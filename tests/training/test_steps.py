"""Steps under a strategy: the same losses on one and on two replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.models import build_model
from r3d_keras.training.sgd import SGD
from r3d_keras.training.steps import distribute_batches, make_train_steps

GLOBAL_BATCH = 8
RANDOM = np.random.default_rng(0)
CLIPS = RANDOM.integers(0, 256, (32, 4, 32, 32, 3), dtype=np.uint8)
LABELS = RANDOM.integers(0, 3, 32)


def mirrored(devices: list[str]) -> tf.distribute.Strategy:
    # The default on CPUs, collective operations, cannot serve the several strategies that one test process makes.
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def plain_network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4, 32, 32, 3), dtype="float32"),
            keras.layers.Rescaling(1 / 128, offset=-1),
            keras.layers.Conv3D(8, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling3D(),
            keras.layers.Dense(3),
        ]
    )


def residual_network() -> keras.Model:
    return build_model("resnet-10", 3, widen_factor=0.125, shortcut="A")


def make_batches(global_batch):
    """Batches of CLIPS over and over, for all replicas of one process."""
    intact = np.full(len(CLIPS), -1)
    data = tf.data.Dataset.from_tensor_slices({"clips": CLIPS, "label": LABELS, "damaged": intact}).repeat()
    return lambda replicas, num_replicas: data.batch(global_batch // num_replicas)


def train(devices: list[str], make_model, calls: list[int]) -> tuple[np.ndarray, keras.Model]:
    keras.utils.set_random_seed(0)
    strategy = mirrored(devices)
    with strategy.scope():
        model = make_model()
        optimizer = SGD(0.05)
        optimizer.build(model.trainable_variables)
    batches = distribute_batches(make_batches(GLOBAL_BATCH), strategy)
    train_steps = make_train_steps(model, optimizer, strategy, GLOBAL_BATCH)
    return np.concatenate([train_steps(batches, steps).losses for steps in calls]), model


def test_one_and_two_replicas_give_the_same_losses():
    one, model_of_one = train(["CPU:0"], plain_network, [5, 3])
    two, model_of_two = train(["CPU:0", "CPU:1"], plain_network, [5, 3])
    np.testing.assert_allclose(two, one, rtol=1e-6)
    assert len(np.unique(one)) == 8
    for ours, theirs in zip(model_of_one.get_weights(), model_of_two.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_the_number_of_steps_in_a_call_changes_nothing():
    at_once, _ = train(["CPU:0"], plain_network, [6])
    one_by_one, _ = train(["CPU:0"], plain_network, [1] * 6)
    np.testing.assert_array_equal(one_by_one, at_once)


def test_two_replicas_normalise_by_their_own_statistics():
    """The first loss of two replicas is the mean of what each half of the batch gives alone."""
    losses, model = train(["CPU:0", "CPU:1"], residual_network, [1])
    keras.utils.set_random_seed(0)
    alone = residual_network()
    halves = []
    for half in (slice(0, 4), slice(4, 8)):
        logits = alone(CLIPS[half], training=True)
        halves.append(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS[half], logits)))
        if half.start == 0:
            first_replica_mean = alone.get_layer("bn1").moving_mean.numpy()
    assert losses[0] == pytest.approx(float(np.mean(halves)), rel=1e-5)
    np.testing.assert_allclose(model.get_layer("bn1").moving_mean.numpy(), first_replica_mean, rtol=1e-4)


def test_correct_answers_are_counted():
    keras.utils.set_random_seed(0)
    strategy = mirrored(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = plain_network()
        optimizer = SGD(0.0001, weight_decay=0.0)
        optimizer.build(model.trainable_variables)
    expected = int((model.predict(CLIPS, verbose=0).argmax(axis=1) == LABELS).sum())
    batches = distribute_batches(make_batches(32), strategy)
    assert make_train_steps(model, optimizer, strategy, 32)(batches, 1).correct == expected
