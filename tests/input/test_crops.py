"""The crops, against sides, boxes and offsets worked out from the reference."""

import math

import numpy as np
import pytest
import tensorflow as tf

from r3d_keras.input import crops

# Sides that the reference cuts at the five scales, by short side; its 2018 code differs in the last scale.
SIDES_2020 = {
    240: [240, 201, 169, 142, 120],
    256: [256, 215, 181, 152, 128],
    128: [128, 107, 90, 76, 64],
    360: [360, 302, 254, 214, 180],
}
LAST_SIDES_2018 = {240: 119, 256: 127, 128: 63, 360: 179}


def corner_boxes(height, width, scales, positions, generation):
    return [
        crops.corner_box(height, width, scale, position, generation).numpy().tolist()
        for scale in scales
        for position in positions
    ]


@pytest.mark.parametrize(("short_side", "sides"), SIDES_2020.items())
def test_sides_equal_the_reference(short_side, sides):
    for shape in ((short_side, short_side + 50), (short_side + 50, short_side)):
        assert [box[2:] for box in corner_boxes(*shape, range(5), [1], 2020)] == [[side, side] for side in sides]
        sides_2018 = [*sides[:4], LAST_SIDES_2018[short_side]]
        assert [box[2:] for box in corner_boxes(*shape, range(5), [1], 2018)] == [[side, side] for side in sides_2018]


def test_positions_of_2020_by_hand():
    # 240 high, 320 wide, side 169: 71 rows and 151 columns are left; 35.5 rounds to 36 and 75.5 to 76, both even.
    expected = [[36, 76, 169, 169], [0, 0, 169, 169], [0, 151, 169, 169], [71, 0, 169, 169], [71, 151, 169, 169]]
    assert corner_boxes(240, 320, [2], range(5), 2020) == expected
    # Side 201: 39 rows and 119 columns; 19.5 rounds to 20 and 59.5 to 60.
    assert corner_boxes(240, 320, [1], [0], 2020) == [[20, 60, 201, 201]]


def test_positions_of_2018_by_hand():
    # An odd side at the center loses a pixel: 201 // 2 on both sides of the middle (120, 160).
    assert corner_boxes(240, 320, [1], [0], 2018) == [[20, 60, 200, 200]]
    assert [box[2] for box in corner_boxes(240, 320, range(5), [0], 2018)] == [240, 200, 168, 142, 118]
    assert corner_boxes(240, 320, [1], [4], 2018) == [[39, 119, 201, 201]]


def draw(function, count, *arguments):
    boxes = tf.data.Dataset.range(count).map(lambda index: function(240, 320, tf.stack([index, 7]), *arguments))
    return np.array(list(boxes.as_numpy_iterator()))


def test_all_scales_and_positions_are_equally_likely():
    values, counts = np.unique(draw(crops.random_corner_box, 5000, 2020), axis=0, return_counts=True)
    # The full height leaves no vertical choice: three boxes instead of five, two of them twice as likely.
    assert len(values) == 4 * 5 + 3
    probabilities = counts[values[:, 2] < 240] / 5000
    np.testing.assert_allclose(probabilities, 1 / 25, atol=4 * np.sqrt(0.04 * 0.96 / 5000))


def test_a_seed_decides_the_box():
    seed = tf.constant([3, 4], tf.int64)
    first, second = (crops.random_corner_box(240, 320, seed, 2020).numpy().tolist() for _ in range(2))
    assert first == second


def test_random_squares_lie_anywhere_in_the_frame():
    boxes = draw(crops.random_square_box, 3000, 2018)
    assert sorted(set(boxes[:, 2])) == [119, 142, 169, 201, 240]
    np.testing.assert_array_equal(boxes[:, 2], boxes[:, 3])
    assert boxes[:, :2].min() == 0
    small = boxes[boxes[:, 2] == 119]
    assert (small[:, 0].max(), small[:, 1].max()) <= (121, 201)
    # The mean of a uniform place is half of the room, within four standard errors.
    for axis, room in ((0, 121), (1, 201)):
        assert abs(small[:, axis].mean() - room / 2) < 4 * room / math.sqrt(12 * len(small))


def test_center_crops_of_2018_have_five_scales():
    assert sorted({tuple(box) for box in draw(crops.random_center_box, 200, 2018).tolist()}) == sorted(
        map(tuple, corner_boxes(240, 320, range(5), [0], 2018))
    )


def resized(height, width, areas, aspects, place):
    values = (tf.constant(value, tf.float64) for value in (areas, aspects, place))
    return crops.resized_box(height, width, *values).numpy().tolist()


def test_resized_boxes_by_hand():
    # 0.5 * 240 * 320 = 38400; times 4/3 and the root: 226.27; by 4/3: 169.7.
    assert resized(240, 320, [0.5], [4 / 3], [0.0, 0.0]) == [0, 0, 170, 226]
    # 71 rows and 95 columns where it fits.
    assert resized(240, 320, [0.5], [4 / 3], [0.999, 0.999]) == [70, 94, 170, 226]
    # The first is 277 high, more than the frame; the second fits.
    assert resized(240, 320, [1.0, 0.25], [1.0, 1.0], [0.5, 0.5]) == [51, 91, 139, 139]


def test_the_fallback_keeps_the_aspect_in_bounds():
    # No try fits: at most 4/3 as wide as high, at least 3/4, from the middle.
    assert resized(240, 400, [1.0], [0.75], [0.9, 0.9]) == [0, 40, 240, 320]
    assert resized(400, 240, [1.0], [1.3], [0.9, 0.9]) == [40, 0, 320, 240]
    assert resized(240, 300, [1.0], [0.75], [0.9, 0.9]) == [0, 0, 240, 300]


def test_resized_boxes_keep_to_their_ranges():
    boxes = draw(crops.random_resized_box, 3000)
    area = boxes[:, 2] * boxes[:, 3] / (240 * 320)
    aspect = boxes[:, 3] / boxes[:, 2]
    assert 0.245 < area.min() < 0.26
    assert 0.99 < area.max() <= 1.0
    assert 0.74 < aspect.min() < 0.76
    assert 1.32 < aspect.max() < 1.35
    assert (boxes[:, 0] + boxes[:, 2]).max() <= 240
    assert (boxes[:, 1] + boxes[:, 3]).max() <= 320
