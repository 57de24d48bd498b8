"""The paper's crops, against sides and offsets worked out from the reference."""

import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.input.augmentation import corner_crop_box, random_corner_crop_box, random_flip

# Sides that the reference's 2020 code cuts at the five scales, by short side.
REFERENCE_SIDES = {
    240: [240, 201, 169, 142, 120],
    256: [256, 215, 181, 152, 128],
    128: [128, 107, 90, 76, 64],
    360: [360, 302, 254, 214, 180],
}


@pytest.mark.parametrize(("short_side", "sides"), REFERENCE_SIDES.items())
def test_sides_equal_the_reference(short_side, sides):
    boxes = [corner_crop_box(short_side, short_side + 50, scale, 0).numpy() for scale in range(5)]
    assert [box[2] for box in boxes] == sides
    assert [box[3] for box in boxes] == sides


def test_positions_by_hand():
    # 240 high, 320 wide, side 169: 71 rows and 151 columns are left; 35.5 rounds to 36 and 75.5 to 76, both even.
    boxes = [corner_crop_box(240, 320, 2, position).numpy().tolist() for position in range(5)]
    assert boxes == [[36, 76, 169, 169], [0, 0, 169, 169], [0, 151, 169, 169], [71, 0, 169, 169], [71, 151, 169, 169]]
    # Side 201: 39 rows and 119 columns; 19.5 rounds to 20 and 59.5 to 60.
    assert corner_crop_box(240, 320, 1, 0).numpy().tolist() == [20, 60, 201, 201]


def test_all_scales_and_positions_are_equally_likely():
    boxes = tf.data.Dataset.range(5000).map(lambda index: random_corner_crop_box(240, 320, tf.stack([index, 7])))
    values, counts = np.unique(list(boxes.as_numpy_iterator()), axis=0, return_counts=True)
    # The full height leaves no vertical choice: three boxes instead of five, two of them twice as likely.
    assert len(values) == 4 * 5 + 3
    probabilities = counts[values[:, 2] < 240] / 5000
    np.testing.assert_allclose(probabilities, 1 / 25, atol=4 * np.sqrt(0.04 * 0.96 / 5000))


def test_a_seed_decides_the_box():
    seed = tf.constant([3, 4], tf.int64)
    first, second = (random_corner_crop_box(240, 320, seed).numpy().tolist() for _ in range(2))
    assert first == second


def test_flip_mirrors_whole_clips_half_of_the_time():
    clip = tf.reshape(tf.range(2 * 3 * 4 * 1), [2, 3, 4, 1])
    flipped = 0
    for index in range(400):
        result = random_flip(clip, tf.constant([index, 0])).numpy()
        if not np.array_equal(result, clip):
            np.testing.assert_array_equal(result, clip.numpy()[:, :, ::-1])
            flipped += 1
    assert abs(flipped - 200) < 4 * np.sqrt(400 / 4)
