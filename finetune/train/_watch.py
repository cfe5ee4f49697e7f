"""What watches a training: the loss, progress for people, and an end in time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from finetune.train.base import OnProgress, Progress
from instar.failpoints import reach

__all__ = ["Watch", "callback"]

_RISE = 5
_FALL = 0.4
_FLOOR = 0.02


class Watch:
    """Keeps the loss and plans the end.

    The plan shrinks while it runs when the steps would not fit into the time, so that the learning
    rate, which follows the plan, has always come down by the end. Where time is no limit the plan
    never changes, and the training can be repeated exactly.
    """

    def __init__(
        self,
        steps: int,
        seconds: float | None,
        progress: OnProgress | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps = self.planned = steps
        self.losses: list[tuple[int, float]] = []
        self._limit = math.inf if seconds is None else seconds
        self._progress, self._clock = progress, clock
        self._started = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the training began."""
        return self._clock() - self._started

    def begin(self) -> None:
        """Start the clock; what was loaded before is not training."""
        self._started = self._clock()

    def rate(self, step: int) -> float:
        """Factor of the learning rate: a short rise, then flat, then down."""
        left = (self.planned - step) / max(1.0, _FALL * self.planned)
        return max(_FLOOR, min((step + 1) / _RISE, 1.0, left))

    def stop_after(self, step: int) -> bool:
        """Fit the plan to the time left; whether ``step`` was the last."""
        fitting = step * self._limit / max(self.seconds, 1e-6)
        self.planned = max(step, int(min(self.steps, fitting)))
        return step >= self.planned

    def note(self, step: int, loss: float) -> None:
        """Keep a loss and tell of it."""
        self.losses.append((step, loss))
        if self._progress:
            seconds = round(self.seconds, 2)
            self._progress(Progress(step=step, steps=self.planned, loss=loss, seconds=seconds))


def callback(watch: Watch) -> Any:
    """What a trainer of transformers calls at every step, for a watch."""
    from transformers import TrainerCallback

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.begin()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            reach("train.step")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if watch.stop_after(state.global_step):
                control.should_training_stop = True

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any
        ) -> None:
            if "loss" in logs:
                watch.note(state.global_step, float(logs["loss"]))

    return Watching()
