"""What a model is measured by: the loss by which it learned decides."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from r3d_keras.defaults import SIGMOID, SOFTMAX
from r3d_keras.evaluation.metrics import (
    Metrics,
    class_accuracies,
    compute_metrics,
    confidence_intervals,
    format_metrics,
)
from r3d_keras.evaluation.multilabel import (
    MultilabelMetrics,
    class_average_precisions,
    compute_multilabel_metrics,
    format_multilabel_metrics,
    multilabel_confidence_intervals,
)
from r3d_keras.evaluation.scores import Scores


@dataclass(frozen=True)
class Measures:
    """The metrics of one kind of models.

    compute    from labeled scores to metrics
    intervals  from labeled scores to 95 % intervals of some of the metrics, by name
    table      from rows, number of classes and a last column to lines for people, see `format_metrics`
    of_class   from labeled scores to a number for each class, float64 [classes], NaN where there is none
    names      fields of the metrics with their titles, see `shown`; the best model has most of the first
    of_five    those of them that count the five most probable classes
    short_names  two of these fields for one line, with titles as those of the table
    tops       the fields that tell how often a label is the most probable class, or among the five most probable
    class_name  field of metrics.json for what `of_class` gives, and its title
    """

    compute: Callable[[Scores], Metrics | MultilabelMetrics]
    intervals: Callable[[Scores], dict[str, tuple[float, float]]]
    table: Callable[..., list[str]]
    of_class: Callable[[Scores], np.ndarray]
    names: dict[str, str]
    of_five: tuple[str, ...]
    short_names: dict[str, str]
    tops: tuple[str, str]
    class_name: tuple[str, str]

    @property
    def headline(self) -> str:
        """The field of the metrics of which the best model has most."""
        return next(iter(self.names))

    def shown(self, num_classes: int) -> dict[str, str]:
        """Returns the fields that a report shows: of five classes or fewer, all are among the five most probable."""
        return {name: title for name, title in self.names.items() if num_classes > 5 or name not in self.of_five}


MEASURES = {
    SOFTMAX: Measures(
        compute_metrics,
        confidence_intervals,
        format_metrics,
        class_accuracies,
        names={
            "top1": "top-1",
            "top5": "top-5",
            "average": "mean of top-1 and top-5",
            "mean_class_accuracy": "mean class accuracy",
        },
        of_five=("top5", "average"),
        short_names={"top1": "top-1", "mean_class_accuracy": "classes"},
        tops=("top1", "top5"),
        class_name=("top1", "top-1"),
    ),
    SIGMOID: Measures(
        compute_multilabel_metrics,
        multilabel_confidence_intervals,
        format_multilabel_metrics,
        class_average_precisions,
        names={
            "mean_average_precision": "mean average precision (mAP)",
            "global_average_precision": "global average precision (GAP@20)",
            "hit1": "hit@1",
            "hit5": "hit@5",
            "equal_recall_precision": "precision at equal recall rate (PERR)",
        },
        of_five=("hit5",),
        short_names={"mean_average_precision": "mAP", "hit1": "hit@1"},
        tops=("hit1", "hit5"),
        class_name=("average_precision", "average precision"),
    ),
}
