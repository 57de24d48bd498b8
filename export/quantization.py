"""A network for OpenVINO in int8: fitted to training clips, and measured beside the model that it came from."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
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
from r3d_keras.prediction.runtimes import LOADERS, Logits
from r3d_keras.prediction.scorer import Scorer, as_scorer
from r3d_keras.video.listing import TRAIN

CALIBRATION_CLIPS = 256  # at most
RANKING_CLIPS = 64  # by which NNCF finds the layers that hurt
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

    @property
    def card(self) -> dict[str, Any]:
        """What the model card says of it; accuracies between 0 and 1."""
        evaluation, headline = self.evaluation, self.evaluation.measures.headline
        ((float32, _),) = evaluation.compared
        return {
            "calibration_clips": self.calibration_clips,
            "layers": self.layers,
            "layers_in_int8": self.layers_in_int8,
            "measured_on": evaluation.source.split,
            "videos": len(evaluation.videos.names),
            "measure": headline,
            "int8": getattr(evaluation.video_metrics, headline),
            "float32": getattr(float32.video_metrics, headline),
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
    with data.reading():
        for batch in evaluation_clips(
            training, 1, metadata.frame_size, num_parts=every, channels=metadata.channels
        ).as_numpy_iterator():
            damage.add(batch["damaged"])
            if batch["damaged"] == INTACT:
                clips.append(batch["clips"])
    return Calibration(name, clips, source, classes)


def quantize(path: Path, model: ClipClassifier, calibration: Calibration, max_accuracy_loss: float) -> Quantized:
    """Brings the layers of an OpenVINO model to int8; where too much is lost, those that hurt most stay in float32.

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
    allowed = max_accuracy_loss / 100 + ROUNDING
    float32 = _evaluate(calibration.name, as_scorer(model), calibration)
    if not float32.video_metrics:
        raise UserError(f"no video of {calibration.source.description} has a label: int8 cannot be measured")

    def evaluate(logits: Logits) -> Evaluation:
        return _evaluate("int8", Scorer(model.metadata, lambda given: logits(_as_float32(given))), calibration)

    def as_written(quantized) -> Quantized:
        openvino.save_model(quantized, path, compress_to_fp16=False)
        logits = LOADERS[path.name](path)
        return Quantized(compared(evaluate(logits), [float32]), len(clips), *_count_layers(quantized), logits)

    quantized = to_int8(network, clips)
    int8 = as_written(quantized)
    if _accuracy(float32) - _accuracy(int8.evaluation) > allowed:
        quantized = _keep_layers_that_hurt(network, clips, evaluate, allowed)
        int8 = as_written(quantized)
    if _accuracy(float32) - _accuracy(int8.evaluation) > allowed:
        raise UserError(
            f"int8 in {int8.layers_in_int8} of {int8.layers} layers has {100 * _accuracy(int8.evaluation):.1f}% on "
            f"{calibration.source.description}, float32 {100 * _accuracy(float32):.1f}%: more is lost than "
            f"max_accuracy_loss={max_accuracy_loss:g}"
        )
    return int8


def to_int8(network, clips: list[np.ndarray]):
    """Returns an OpenVINO network with all layers in int8, whose ranges are those of the clips, as in `Calibration`."""
    nncf = _import_nncf()
    with _silent():
        return nncf.quantize(
            network,
            nncf.Dataset(clips, _as_float32),
            subset_size=len(clips),
            advanced_parameters=_parameters(nncf),
        )


def _keep_layers_that_hurt(network, clips: list[np.ndarray], evaluate: Callable[[Logits], Evaluation], allowed: float):
    """Returns the network in int8 but for the layers that change the logits of training clips most.

    These are as many as it takes, and at most a third of all.
    """
    nncf = _import_nncf()

    def validate(compiled, some_clips) -> tuple[float, list[list[np.ndarray]]]:
        logits = [[compiled(_as_float32(clip))[0]] for clip in some_clips]
        is_trial = len(logits) < len(clips)  # with one clip NNCF sees what it gets
        return 0.0 if is_trial else _accuracy(evaluate(lambda given: compiled(given)[0])), logits

    ranges, (layers, _) = nncf.Dataset(clips, _as_float32), _count_layers(network)
    search = nncf.AdvancedAccuracyRestorerParameters(
        ranking_subset_size=RANKING_CLIPS, num_ranking_workers=1, max_num_iterations=max(layers // 3, 1)
    )
    with _silent():
        return nncf.quantize_with_accuracy_control(
            network,
            ranges,
            ranges,
            validate,
            max_drop=allowed,
            subset_size=len(clips),
            advanced_quantization_parameters=_parameters(nncf),
            advanced_accuracy_restorer_parameters=search,
        )


def _parameters(nncf: ModuleType):
    """Whole ranges, and biases as they are: what NNCF does by default changes the logits of real clips far more.

    That is the mean of the clips' ranges, which cuts off the peaks of many a clip, and its correction of biases.
    """
    return nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True,
        activations_range_estimator_params=nncf.quantization.range_estimator.RangeEstimatorParametersSet.MINMAX,
    )


def _evaluate(name: str, scorer: Scorer, calibration: Calibration) -> Evaluation:
    return measure(name, scorer, calibration.source, calibration.classes, ProtocolOptions())


def _accuracy(evaluation: Evaluation) -> float:
    return getattr(evaluation.video_metrics, evaluation.measures.headline)


def _count_layers(network) -> tuple[int, int]:
    """Counts the layers with weights, and those whose weights come from int8."""
    weights = [
        operation.input_value(1).get_node().get_type_name()
        for operation in network.get_ops()
        if operation.get_type_name() in LAYERS_WITH_WEIGHTS
    ]
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


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """NNCF draws bars of its own on standard output."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
