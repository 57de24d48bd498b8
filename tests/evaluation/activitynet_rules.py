"""The rules of the ActivityNet authors' script for untrimmed classification (Evaluation/eval_classification.py), in our
own words: what it reads of the two files, and how it counts.

- The truth is the videos of `database` whose subset is the one that is asked for, by their keys, each with the set of
  the labels of its annotations. The classes are these labels.
- A prediction is an entry of `results` under the same key; of a label that is none of the classes the script fails.
- A class: all its predictions by falling score. One is right if its video has the class and none before was right of
  it. The average precision sums, over the right ones, the step of recall times the best precision from there on.
- hit@k: the part of the truth's videos of which any label is among the k predictions with the highest scores; a video
  without predictions has none.
"""


def official_numbers(annotations: dict, submission: dict, subset: str) -> tuple[float, float, float]:
    """Returns the mean average precision, hit@1 and hit@3 of the contents of the two files."""
    assert {"results", "version", "external_data"} <= submission.keys()
    truth = {
        video: {each["label"] for each in entry["annotations"]}
        for video, entry in annotations["database"].items()
        if entry["subset"] == subset
    }
    truth = {video: labels for video, labels in truth.items() if labels}
    classes = set().union(*truth.values())
    predictions = [
        (each["score"], video, each["label"]) for video, entries in submission["results"].items() for each in entries
    ]
    assert {label for _, _, label in predictions} <= classes
    precisions = [average_precision(truth, predictions, label) for label in classes]
    return sum(precisions) / len(precisions), hit(truth, predictions, 1), hit(truth, predictions, 3)


def average_precision(truth, predictions, label):
    positives = {video for video, labels in truth.items() if label in labels}
    matched, right = set(), []
    for _, video, _ in sorted((each for each in predictions if each[2] == label), reverse=True):
        right.append(video in positives - matched)
        matched.add(video)
    precision = [sum(right[:end]) / end for end in range(1, len(right) + 1)]
    return sum(max(precision[place:]) for place, is_right in enumerate(right) if is_right) / len(positives)


def hit(truth, predictions, k):
    best = {
        video: {label for _, _, label in sorted((each for each in predictions if each[1] == video), reverse=True)[:k]}
        for video in truth
    }
    return sum(bool(best[video] & labels) for video, labels in truth.items()) / len(truth)
