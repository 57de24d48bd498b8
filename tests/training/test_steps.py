"""Steps under a strategy: replicas, micro-batches, loss scaling, dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from r3d_keras.models import build_model
from r3d_keras.training.sgd import SGD
from r3d_keras.training.steps import TrainingStep, distribute_batches, first_replica_statistics_everywhere

GLOBAL_BATCH, LEARNING_RATE, WEIGHT_DECAY = 8, 0.05, 1e-3
RANDOM = np.random.default_rng(0)
CLIPS = RANDOM.integers(0, 256, (32, 4, 32, 32, 3), dtype=np.uint8)
LABELS = RANDOM.integers(0, 3, 32)


def mirrored(devices: list[str]) -> tf.distribute.Strategy:
    # The default on CPUs, collective operations, cannot serve the several strategies that one test process makes.
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())


def plain_network(dropout: float = 0.0) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4, 32, 32, 3), dtype="float32"),
            keras.layers.Rescaling(1 / 128, offset=-1),
            keras.layers.Conv3D(8, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling3D(),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )


def residual_network() -> keras.Model:
    return build_model("resnet-10", 3, widen_factor=0.125, shortcut="A")


class Trial:
    """A model on some devices, its step, and endless batches of CLIPS."""

    def __init__(
        self,
        devices=("CPU:0",),
        make_model=plain_network,
        batch_size=GLOBAL_BATCH,
        parts=1,
        labels=LABELS,
        **options,
    ):
        keras.utils.set_random_seed(0)
        self.strategy, self.parts = mirrored(list(devices)), parts
        with self.strategy.scope():
            self.model = make_model()
            self.optimizer = SGD(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
            self.optimizer.build(self.model.trainable_variables)
        data = tf.data.Dataset.from_tensor_slices({"clips": CLIPS, "label": labels}).repeat()
        self.batches = distribute_batches(
            lambda replicas, num_replicas: data.batch(batch_size // num_replicas // parts), self.strategy
        )
        self.run_step = TrainingStep(self.model, self.optimizer, self.strategy, batch_size, **options)

    def step(self, number: int, **options):
        return self.run_step([next(self.batches) for _ in range(self.parts)], number, LEARNING_RATE, **options)

    def losses(self, steps: int) -> list[float]:
        return [self.step(number).loss for number in range(steps)]


@pytest.mark.parametrize("other", [{"devices": ("CPU:0", "CPU:1")}, {"parts": 4}], ids=["two replicas", "four parts"])
def test_replicas_and_parts_give_the_losses_of_the_whole_batch(other):
    whole, divided = Trial(), Trial(**other)
    expected = whole.losses(8)
    np.testing.assert_allclose(divided.losses(8), expected, rtol=1e-6)
    assert len(np.unique(expected)) == 8
    for ours, theirs in zip(whole.model.get_weights(), divided.model.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-6)


def test_several_labels_are_learned_by_a_sigmoid_for_each_class():
    """Loss and gradient against PyTorch's binary cross-entropy, summed over the classes; replicas and parts too."""
    several = (RANDOM.random((32, 3)) < 0.5).astype(np.float32)
    options = {"labels": several, "loss": "sigmoid", "batch_size": 32}
    trial = Trial(**options)
    logits = torch.tensor(trial.model(CLIPS, training=True).numpy(), requires_grad=True)
    entropies = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(several), reduction="none")
    entropies.sum(dim=1).mean().backward()
    features = keras.Model(trial.model.inputs, trial.model.layers[-1].input)(CLIPS, training=True).numpy()
    result, head = trial.step(0), trial.model.layers[-1].kernel.numpy()
    assert result.loss == pytest.approx(float(entropies.sum(dim=1).mean()), rel=1e-6)
    best = logits.detach().numpy().argmax(axis=1)
    assert result.correct == int(several[np.arange(32), best].sum())
    before = Trial(**options).model.layers[-1].kernel.numpy()
    gradient = features.T @ logits.grad.numpy() + WEIGHT_DECAY * before
    np.testing.assert_allclose(before - head, LEARNING_RATE * gradient, atol=1e-6)
    divided = Trial(("CPU:0", "CPU:1"), parts=2, **options)
    np.testing.assert_allclose(divided.losses(4), Trial(**options).losses(4), rtol=1e-5)


def test_two_replicas_normalize_by_their_own_statistics():
    """The first loss of two replicas is the mean of what each half of the batch gives alone."""
    trial = Trial(("CPU:0", "CPU:1"), residual_network)
    losses = trial.losses(1)
    keras.utils.set_random_seed(0)
    alone = residual_network()
    halves = []
    for half in (slice(0, 4), slice(4, 8)):
        logits = alone(CLIPS[half], training=True)
        halves.append(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS[half], logits)))
        if half.start == 0:
            first_replica_mean = alone.get_layer("bn1").moving_mean.numpy()
    assert losses[0] == pytest.approx(float(np.mean(halves)), rel=1e-5)
    moving_mean = trial.model.get_layer("bn1").moving_mean
    np.testing.assert_allclose(moving_mean.numpy(), first_replica_mean, rtol=1e-4)

    of_replicas = trial.strategy.experimental_local_results(moving_mean.value)
    assert not np.allclose(of_replicas[1].numpy(), first_replica_mean, rtol=1e-3)
    first_replica_statistics_everywhere(trial.model, trial.strategy)
    np.testing.assert_array_equal(of_replicas[1].numpy(), of_replicas[0].numpy())


def test_correct_answers_are_counted():
    trial = Trial(("CPU:0", "CPU:1"), batch_size=32)
    expected = int((trial.model.predict(CLIPS, verbose=0).argmax(axis=1) == LABELS).sum())
    assert trial.step(0).correct == expected


def test_the_gradient_norm_is_that_of_the_mean_loss():
    trial = Trial(("CPU:0", "CPU:1"), batch_size=32, parts=2)
    with tf.GradientTape() as tape:
        logits = trial.model(CLIPS, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits))
    gradients = tape.gradient(loss, trial.model.trainable_variables)
    expected = np.sqrt(sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients))
    assert trial.step(0).gradient_norm == pytest.approx(expected, rel=1e-5)


def test_a_loss_scale_changes_nothing_but_what_overflows():
    plain, scaled = Trial(), Trial(("CPU:0", "CPU:1"))
    expected = plain.losses(3)
    results = [scaled.step(number, loss_scale=2.0**15) for number in range(3)]
    np.testing.assert_allclose([result.loss for result in results], expected, rtol=1e-5)
    before = scaled.model.get_weights()
    overflown = scaled.step(3, loss_scale=float("inf"))
    assert not overflown.applied
    assert np.isfinite(overflown.loss)
    assert scaled.optimizer.iterations.numpy() == 3
    for ours, theirs in zip(scaled.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_replica_that_overflows_alone_stops_the_update_of_all():
    trial = Trial(("CPU:0", "CPU:1"))
    broken = trial.model.get_weights()
    clips = CLIPS[:8].astype(np.float32)
    clips[5] = np.nan  # in the second replica's half
    data = tf.data.Dataset.from_tensor_slices({"clips": clips, "label": LABELS[:8]}).repeat().batch(4)
    batches = distribute_batches(lambda replicas, num_replicas: data, trial.strategy)
    result = trial.run_step([next(batches)], 0, LEARNING_RATE)
    assert not result.applied
    assert not np.isfinite(result.gradient_norm)
    for ours, theirs in zip(trial.model.get_weights(), broken, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_depends_on_the_number_of_the_step_alone():
    def first_loss(number: int) -> float:
        return Trial(make_model=lambda: plain_network(0.5)).step(number).loss

    after_others = Trial(make_model=lambda: plain_network(0.5))
    weights = after_others.model.get_weights()
    after_others.losses(4)
    after_others.model.set_weights(weights)
    assert after_others.step(8).loss == first_loss(8)  # batches repeat after four
    assert first_loss(0) != first_loss(8)


@pytest.mark.parametrize(
    ("devices", "network"),
    [(("CPU:0",), plain_network), pytest.param(("CPU:0", "CPU:1"), residual_network, marks=pytest.mark.slow)],
    ids=["one", "two"],
)
def test_compiled_steps_give_the_same_losses(devices, network):
    compiled = Trial(devices, network, jit_compile=True)
    np.testing.assert_allclose(compiled.losses(2), Trial(devices, network).losses(2), rtol=1e-3)


def test_a_worker_that_wants_to_stop_is_heard():
    trial = Trial(("CPU:0", "CPU:1"))
    assert not trial.step(0).stop
    assert trial.step(1, stop=True).stop


def test_weights_of_classes_are_those_of_pytorch():
    """The loss, and the gradient through PyTorch's gradient of the logits."""
    weights = [0.5, 1.0, 4.0]
    trial = Trial(("CPU:0", "CPU:1"), batch_size=32, parts=2, class_weights=weights)
    with tf.GradientTape() as tape:
        logits = trial.model(CLIPS, training=True)
    theirs = torch.from_numpy(logits.numpy()).requires_grad_()
    labels = torch.from_numpy(LABELS)
    losses = torch.nn.functional.cross_entropy(theirs, labels, torch.tensor(weights), reduction="none")
    losses.mean().backward()
    gradients = tape.gradient(logits, trial.model.trainable_variables, tf.constant(theirs.grad.numpy()))
    result = trial.step(0)
    assert result.loss == pytest.approx(losses.mean().item(), rel=1e-5)
    assert result.gradient_norm == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-5)
