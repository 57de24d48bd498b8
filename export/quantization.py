"""A network for OpenVINO in int8: fitted to training clips, and measured beside the model that it came from."""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.evaluation.classes import Classes, match_classes
from r3d_keras.evaluation.clip_sources import MeasuredClips, open_clips_to_measure
from r3d_keras.evaluation.evaluation import Evaluation, compared, measure
from r3d_keras.evaluation.options import ProtocolOptions
from r3d_keras.input.clip_options import Sampling
from r3d_keras.input.damage import DamageLog
from r3d_keras.input.pipeline import evaluation_clips, open_split
from r3d_keras.input.records import INTACT
from r3d_keras.input.shards import open_clip_data
from r3d_keras.metadata import Metadata
from r3d_keras.models import ClipClassifier
from r3d_keras.prediction.runtimes import Logits, load_openvino
from r3d_keras.prediction.scorer import Scorer, as_scorer
from r3d_keras.terminal import Progress
from r3d_keras.video.listing import TRAIN

from .first_convolution import read_gray_levels

CALIBRATION_CLIPS = 256  # at most
RANKING_CLIPS = 64  # at most, by which the layers that hurt are found
ROUNDING = 1e-9  # 0.74 - 0.73 is more than 0.01
LAYERS_WITH_WEIGHTS = ("Convolution", "GroupConvolution", "MatMul")  # as OpenVINO calls them


@dataclass(frozen=True)
class Calibration:
    """What int8 is fitted to, and what it is measured on.

    name     of the model, for what is printed
    clips    uint8 [1, frames, size, size, channels] each, of the training split
    source   the clips of the validation split
    classes  which of the model's classes these are scored on
    """

    name: str
    clips: list[np.ndarray]
    source: MeasuredClips
    classes: Classes


@dataclass(frozen=True)
class Quantized:
    """What came of it. Printed, it shows both accuracies.

    evaluation         of int8, with that of the model beside it
    calibration_clips  to which it was fitted
    layers             with weights
    layers_in_int8     those of them that are not kept in float32
    logits             of the file, in its runtime
    """

    evaluation: Evaluation
    calibration_clips: int
    layers: int
    layers_in_int8: int
    logits: Logits

    def loses_more_than(self, points: float) -> bool:
        """Tells whether the model is better by more than so many points."""
        ((float32, _),) = self.evaluation.compared
        return _accuracy(float32) - _accuracy(self.evaluation) > points / 100 + ROUNDING

    @property
    def card(self) -> dict[str, Any]:
        """What the model card says of it; accuracies between 0 and 1."""
        evaluation = self.evaluation
        ((float32, _),) = evaluation.compared
        return {
            "calibration_clips": self.calibration_clips,
            "layers": self.layers,
            "layers_in_int8": self.layers_in_int8,
            "measured_on": evaluation.source.split,
            "videos": len(evaluation.videos.names),
            "measure": evaluation.measures.headline,
            "int8": _accuracy(evaluation),
            "float32": _accuracy(float32),
        }

    def __str__(self) -> str:
        return (
            f"int8      fitted to {self.calibration_clips} clips; {self.layers_in_int8} of {self.layers} layers are in "
            f"int8\n{self.evaluation}"
        )


def open_calibration(data_dir: str | Path, name: str, metadata: Metadata) -> Calibration:
    """Reads at most CALIBRATION_CLIPS clips at equal steps over the training split, and opens the validation split.

    The clips are seen as evaluation sees them: the center, at the size of the model called `name`.

    Raises UserError without NNCF, when there are no shards or no such splits, when the model learned from other clips,
    and when too many records are damaged.
    """
    _import_nncf()
    data = open_clip_data(data_dir, metadata.clip_frames)
    source = open_clips_to_measure(data_dir, [(name, metadata)], ProtocolOptions())
    classes = match_classes(name, metadata.label_names, source.label_names, str(data_dir), False)
    sampling = Sampling(sampling="windows", frame_stride=metadata.recipe.frame_stride)
    training = open_split(data, TRAIN, sampling, metadata.loss)
    every = -(-training.epoch_length // CALIBRATION_CLIPS)
    damage, clips = DamageLog(data, TRAIN, ProtocolOptions.max_damaged_fraction), []
    batches = evaluation_clips(training, 1, metadata.frame_size, num_parts=every, channels=metadata.channels)
    for batch in training.read(batches.as_numpy_iterator()):
        damage.add(batch["damaged"])
        if batch["damaged"] == INTACT:
            clips.append(batch["clips"])
    return Calibration(name, clips, source, classes)


def quantize(path: Path, model: ClipClassifier, calibration: Calibration, max_accuracy_loss: float) -> Quantized:
    """Brings the layers of an OpenVINO model to int8; where too much is lost, those that hurt most stay in float32.

    These are 1, 2, 4, ... layers, and at most a third of all.

    Args:
        path: of the model.xml, which is replaced.
        model: that it came from.
        max_accuracy_loss: in points, of the videos of the validation split.

    Raises UserError when more is lost all the same, or no video has a label.
    """
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # the file is written anew while the network is in use
    network, clips = core.read_model(path), calibration.clips
    float32 = _evaluate(calibration.name, as_scorer(model), calibration)
    if not float32.video_metrics:
        raise UserError(f"no video of {calibration.source.description} has a label: int8 cannot be measured")

    def as_written(quantized) -> Quantized:
        openvino.save_model(quantized, path, compress_to_fp16=False)
        logits = load_openvino(path)
        scorer = Scorer(model.metadata, lambda given: logits(_as_float32(given)))
        evaluation = compared(_evaluate("int8", scorer, calibration), [float32])
        return Quantized(evaluation, len(clips), *_count_layers(quantized), logits)

    int8 = as_written(to_int8(network, clips))
    if not int8.loses_more_than(max_accuracy_loss):
        return int8
    names = _layers_by_harm(network, clips[:: -(-len(clips) // RANKING_CLIPS)])
    kept = 1
    while kept <= len(names) // 3:
        int8 = as_written(to_int8(network, clips, names[:kept]))
        if not int8.loses_more_than(max_accuracy_loss):
            return int8
        kept *= 2
    accuracies = f"float32 {100 * _accuracy(float32):.1f}%, int8 {100 * _accuracy(int8.evaluation):.1f}%"
    raise UserError(
        f"int8 loses more than max_accuracy_loss={max_accuracy_loss:g} on {calibration.source.description}, also with "
        f"{int8.layers - int8.layers_in_int8} of {int8.layers} layers in float32: {accuracies}"
    )


def to_int8(network, clips: list[np.ndarray], kept: Sequence[str] = ()):
    """Returns an OpenVINO network in int8, all but the layers of these names.

    What NNCF does by default changes the logits of real clips far more: it takes the mean of the clips' ranges, which
    cuts off the peaks of many a clip, and corrects biases.

    Args:
        clips: by which ranges are set, as in `Calibration`.
    """
    nncf = _import_nncf()
    parameters = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True,
        activations_range_estimator_params=nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX,
    )
    # It draws bars of its own on standard output.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        quantized = nncf.quantize(
            network,
            nncf.Dataset(clips, _as_float32),
            subset_size=len(clips),
            ignored_scope=nncf.IgnoredScope(names=list(kept)),
            advanced_parameters=parameters,
        )
    read_gray_levels(quantized, network)
    return quantized


def _layers_by_harm(network, clips: list[np.ndarray]) -> list[str]:
    """Returns the names of the layers; first the one without which int8 comes nearest to the logits of float32."""
    inputs = _as_float32(np.concatenate(clips))
    expected = load_openvino(network)(inputs)
    names = [layer.get_friendly_name() for layer in _layers(network)]
    changes = {}
    with Progress("layers", len(names), "layers") as progress:
        for name in names:
            changes[name] = np.abs(load_openvino(to_int8(network, clips, [name]))(inputs) - expected).mean()
            progress.add(1)
    return sorted(names, key=changes.get)


def _evaluate(name: str, scorer: Scorer, calibration: Calibration) -> Evaluation:
    return measure(name, scorer, calibration.source, calibration.classes, ProtocolOptions())


def _accuracy(evaluation: Evaluation) -> float:
    return getattr(evaluation.video_metrics, evaluation.measures.headline)


def _layers(network) -> list:
    return [each for each in network.get_ordered_ops() if each.get_type_name() in LAYERS_WITH_WEIGHTS]


def _count_layers(network) -> tuple[int, int]:
    """Counts the layers with weights, and those whose weights come from int8."""
    weights = [layer.input_value(1).get_node().get_type_name() for layer in _layers(network)]
    return len(weights), sum(kind != "Constant" for kind in weights)


def _as_float32(clips) -> np.ndarray:
    return np.asarray(clips, np.float32)


def _import_nncf() -> ModuleType:
    os.environ.setdefault("NNCF_CI", "1")  # without it every use is reported to NNCF's makers
    try:
        import nncf
    except ImportError as error:
        raise UserError(f"precision=int8 needs: pip install 'r3d_keras[formats]' ({error})") from error

    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
