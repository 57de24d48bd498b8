"""Every architecture of the authors against their code: golden logits and parameter counts.

Both were computed with the authors' PyTorch code (repaired where it cannot be built).
"""

import keras
import numpy as np
import pytest

from r3d_keras.metadata import Normalization
from r3d_keras.models import build_model
from r3d_keras.models.initial_values import skipped_initial_values
from tests.models.golden import golden_clip, set_golden_weights

IDENTITY = Normalization((0.0,) * 3, (1.0,) * 3)
TYPE_A = {"shortcut": "A"}
SMALL_STEM = {"conv1_t_size": 3, "conv1_t_stride": 2, "max_pool": False}
ODD_CLIP = {"seed": 1, "shape": (1, 3, 17, 113, 149)}
SMALL_CLIP = {"cut_to": (8, 56, 56)}

# architecture, arguments, input, first four logits, sum of all ten |logits|, argmax
GOLDEN = [
    ("resnet-18", TYPE_A, {}, (0.315735, 0.565749, 0.659665, 0.353943), 6.00533, 6),
    ("resnet-18", {}, {}, (1.28174, -0.210362, 0.0723372, -0.756635), 9.45338, 4),
    ("resnet-34", TYPE_A, {}, (1.64294, 0.183109, 1.39938, 0.144668), 13.5877, 4),
    ("resnet-50", TYPE_A, {}, (1.62335, 1.09437, -0.775144, 0.529352), 6.54049, 0),
    ("resnet-50", {}, {}, (1.46719, 1.0533, -0.912718, -0.177506), 7.19661, 0),
    ("resnet-101", {}, {}, (3.75675, 1.39926, -1.78072, -1.07888), 17.1889, 4),
    ("resnet-18", SMALL_STEM, SMALL_CLIP, (0.703939, 0.12487, 0.155073, -0.24477), 3.86291, 4),
    ("resnet-18", {"widen_factor": 0.5}, {}, (0.239551, 0.774156, 0.461802, -0.778595), 6.00386, 7),
    ("resnet-18", {}, ODD_CLIP, (0.618194, 0.723792, 0.5129, -0.726491), 9.72351, 4),
    ("resnet2p1d-18", {}, {}, (0.73445, -0.237213, -0.416091, -0.117693), 2.83894, 0),
    ("resnet2p1d-50", {}, {}, (0.753721, 0.80852, -0.977658, 0.125846), 4.27427, 4),
    ("wideresnet-50", {"generation": 2020}, {}, (1.04363, 1.79058, -1.26646, 0.152985), 9.03751, 4),
    ("wideresnet-50", {"generation": 2018}, {}, (0.974169, 2.23844, -1.00979, 0.181116), 8.44783, 1),
    ("preresnet-18", {}, {}, (1.79694, -5.16662, -2.39483, -0.866915), 24.9696, 4),
    ("preresnet-50", {}, {}, (-0.154051, 4.31536, 0.789559, -4.42854), 21.0288, 1),
    ("resnext-50", {}, {}, (0.704549, 1.82191, -0.45406, 0.0654943), 7.29451, 1),
    ("resnext-101", {}, {}, (3.40188, 2.85003, 0.103951, 1.16868), 13.1517, 4),
    ("densenet-121", {}, {}, (-0.385677, -0.0372174, -0.0966917, -0.373128), 2.11289, 4),
]

# architecture: trainable parameters with 400 classes, shortcut A and B; None where the count is not known
PARAMETERS = {
    "resnet-10": (14_430_800, 14_604_624),
    "resnet-18": (33_235_280, 33_409_104),
    "resnet-34": (63_544_912, 63_718_736),
    "resnet-50": (44_242_000, 47_018_576),
    "resnet-101": (83_288_144, 86_064_720),
    "resnet-152": (115_446_864, 118_223_440),
    "resnet-200": (124_646_480, 127_423_056),
    "resnet2p1d-10": (14_434_220, 14_608_044),
    "resnet2p1d-18": (33_247_340, 33_421_164),
    "resnet2p1d-34": (63_573_676, 63_747_500),
    "resnet2p1d-50": (44_258_806, 47_035_382),
    "resnet2p1d-101": (83_324_534, 86_101_110),
    "resnet2p1d-152": (115_500_534, 118_277_110),
    "resnet2p1d-200": (124_709_366, 127_485_942),
    "preresnet-10": (None, 14_603_728),
    "preresnet-18": (33_234_384, 33_408_208),
    "preresnet-34": (63_544_016, 63_717_840),
    "preresnet-50": (44_238_032, 47_014_608),
    "preresnet-101": (83_284_176, 86_060_752),
    "preresnet-152": (115_442_896, 118_219_472),
    "preresnet-200": (124_642_512, 127_419_088),
    "wideresnet-50": (155_471_696, 158_248_272),
    "resnext-50": (23_908_688, 26_685_264),
    "resnext-101": (45_564_240, 48_340_816),
    "resnext-152": (63_402_320, 66_178_896),
}
DENSENET_PARAMETERS = {
    "densenet-121": 11_696_528,
    "densenet-169": 19_252_624,
    "densenet-201": 26_143_120,
    "densenet-264": 41_365_392,
}

# architecture, arguments, trainable parameters with 400 classes
VARIANTS = [
    ("wideresnet-50", {"widen_factor": 1, "shortcut": "A"}, 39_139_664),
    ("wideresnet-50", {"widen_factor": 1}, 39_839_824),
    ("wideresnet-50", {"generation": 2020, "shortcut": "A"}, 155_545_872),
    ("wideresnet-50", {"generation": 2020}, 158_338_832),
    ("wideresnet-101", {"generation": 2020}, 296_558_352),
    ("wideresnet-152", {"generation": 2020}, 410_390_288),
    ("wideresnet-200", {"generation": 2020}, 442_928_912),
    ("resnext-50", {"generation": 2020}, 26_775_824),
    ("resnext-101", {"generation": 2020}, 48_431_376),
    ("resnext-152", {"generation": 2020}, 66_269_456),
    ("resnext-200", {"generation": 2020}, 71_381_264),
    ("resnet-18", {"widen_factor": 0.5}, 8_422_640),
    ("resnet-18", {"widen_factor": 0.25}, 2_140_992),
    ("resnet-18", {"widen_factor": 1.5}, 74_959_792),
    ("resnet-18", {"conv1_t_size": 3}, 33_371_472),
    ("resnet-18", {"conv1_t_size": 1}, 33_352_656),
]

# Heads of published files: architecture, classes, trainable parameters
HEADS = [
    ("resnet-18", 700, 33_563_004),
    ("resnet-34", 1039, 64_046_543),
    ("resnet-50", 339, 46_893_587),
    ("resnet2p1d-34", 700, 63_901_400),
    ("resnext-101", 101, 47_728_165),
    ("resnext-101", 51, 47_625_715),
]


# Above so many parameters, or layers, a network is among the slow tests.
DEEP = ("-101", "-152", "-169", "-200", "-201", "-264")
LONG = (*DEEP, "resnet-34", "resnet2p1d-50", "wideresnet-50", "preresnet-50")


def slow_if(names: tuple[str, ...], rows) -> list:
    """Marks the rows of architectures whose names end so."""
    rows = [(row,) if isinstance(row, str) else row for row in rows]
    return [pytest.param(*row, marks=[pytest.mark.slow] if row[0].endswith(names) else []) for row in rows]


def trainable_parameters(architecture: str, num_classes: int = 400, **arguments) -> int:
    with skipped_initial_values():
        model = build_model(architecture, num_classes, **arguments)
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.fixture(autouse=True)
def _release_models():
    yield
    keras.backend.clear_session()


@pytest.mark.parametrize(("architecture", "arguments", "clip", "logits", "total", "argmax"), slow_if(LONG, GOLDEN))
def test_golden_values(architecture, arguments, clip, logits, total, argmax):
    with skipped_initial_values():
        model = build_model(architecture, 10, normalization=IDENTITY, **arguments)
    set_golden_weights(model)
    values = model(golden_clip(**clip)).numpy()[0]
    np.testing.assert_allclose(values[:4], logits, atol=1e-4)
    np.testing.assert_allclose(np.abs(values).sum(), total, atol=1e-4)
    assert values.argmax() == argmax


@pytest.mark.parametrize("architecture", slow_if(DEEP, PARAMETERS))
def test_parameter_counts(architecture):
    for shortcut, expected in zip("AB", PARAMETERS[architecture], strict=True):
        if expected is not None:
            assert trainable_parameters(architecture, shortcut=shortcut) == expected


@pytest.mark.parametrize(("architecture", "expected"), slow_if(DEEP, DENSENET_PARAMETERS.items()))
def test_parameter_counts_of_densenets(architecture, expected):
    assert trainable_parameters(architecture) == expected


@pytest.mark.parametrize(("architecture", "arguments", "expected"), slow_if(DEEP, VARIANTS))
def test_parameter_counts_of_variants(architecture, arguments, expected):
    assert trainable_parameters(architecture, **arguments) == expected


@pytest.mark.parametrize(("architecture", "num_classes", "expected"), slow_if(DEEP, HEADS))
def test_parameter_counts_of_published_heads(architecture, num_classes, expected):
    assert trainable_parameters(architecture, num_classes) == expected


# Those of torchvision's pages and of I3D's PyTorch port.
@pytest.mark.parametrize(
    ("architecture", "num_classes", "expected"),
    slow_if(
        DEEP,
        [
            ("frames-resnet-18", 1000, 11_689_512),
            ("frames-resnet-34", 1000, 21_797_672),
            ("frames-resnet-50", 1000, 25_557_032),
            ("frames-resnet-101", 1000, 44_549_160),
            ("frames-resnet-152", 1000, 60_192_808),
            ("i3d", 7, 12_294_439),
        ],
    ),
)
def test_parameter_counts_of_other_networks(architecture, num_classes, expected):
    assert trainable_parameters(architecture, num_classes) == expected


def test_parameter_count_of_c3d_by_arithmetic():
    kernels = 27 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512)
    filters = 64 + 128 + 2 * 256 + 4 * 512
    dense = (512 * 4 * 4 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 101
    assert trainable_parameters("c3d", 101) == kernels + filters + dense == 78_409_573
    normalized = kernels + 2 * filters + dense + 2 * 2 * 4096
    assert trainable_parameters("c3d", 101, batch_norm=True) == normalized
