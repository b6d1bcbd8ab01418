"""The learning rate of all trainings: warmed up, then a cosine down (Loshchilov and Hutter 2017, without restarts)."""

import keras


def warmed_up_cosine(
    peak: float, steps: int, *, warm_up: int, first: float = 0.0, last: float = 0.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the schedule of ``steps`` steps.

    Args:
        peak: learning rate after the warm-up.
        warm_up: steps of it.
        first, last: learning rates before the warm-up and at the end, as shares of the peak.
    """
    return keras.optimizers.schedules.CosineDecay(
        first * peak, max(1, steps - warm_up), alpha=last, warmup_target=peak, warmup_steps=warm_up
    )
