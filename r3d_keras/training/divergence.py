"""A loss or a gradient that is no longer finite, explained."""

import numpy as np

from r3d_keras.errors import UserError
from r3d_keras.training.setup import Parts
from r3d_keras.training.state import RunState
from r3d_keras.training.steps import StepResult

VIDEOS_NAMED = 5


def check_finite(
    result: StepResult, micro_batches: list[dict], parts: Parts, state: RunState, *, rate: float, saved_step: int
) -> None:
    """Raises UserError when a run cannot go on from a step: where it was, and whose clips they were.

    A gradient that the loss scale made too large for float16 is no such case: no weight was changed by it. To be
    called in every worker before the step is counted in `state`: the clips are gathered from all of them.
    """
    overflow = parts.config.scales_loss and state.loss_scale > 1
    if np.isfinite(result.loss) and (result.applied or overflow):
        return
    losses, numbers = _clips_of(result, micro_batches, parts)
    if np.isfinite(result.loss):
        what, which = "gradient", np.full(losses.shape, True)
    else:
        what, which = "loss", ~np.isfinite(losses)
    videos = sorted(set(parts.clips.video_ids(numbers[which].tolist())))
    names = ", ".join(videos[:VIDEOS_NAMED])
    if len(videos) > VIDEOS_NAMED:
        names += f" and {len(videos) - VIDEOS_NAMED} more"
    saved = f"the last checkpoint is that of step {saved_step}" if saved_step else "there is no checkpoint yet"
    raise UserError(
        f"the {what} was no longer finite in step {state.step + 1} at learning rate {rate:g}, for {which.sum()} of "
        f"{len(losses)} clips, of the videos {names}; no weight was changed by it, and {saved}: start "
        "again in another model_dir with a lower learning_rate"
    )


def _clips_of(result: StepResult, micro_batches: list[dict], parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cross-entropy and the number of each clip of the global batch."""

    def gather(values: list) -> np.ndarray:
        return np.concatenate([parts.strategy.gather(value, axis=0).numpy() for value in values])

    return gather(result.cross_entropy), gather([batch["clip"] for batch in micro_batches])
