"""What watches a training: the loss, progress for people, an end in time, and when to save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from finetune.train import _ranks
from finetune.train._resume import Checkpoints
from finetune.train.base import OnProgress, Progress
from instar.errors import Stopped
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

    Attributes:
        curves: What else is kept of each step, by the name under which the trainer logs it.
        left: The error with which the one who is told of progress asked to leave.
        resumed: The step that an earlier, unfinished run of this training came to.
    """

    def __init__(
        self,
        steps: int,
        seconds: float | None,
        progress: OnProgress | None = None,
        clock: Callable[[], float] = time.monotonic,
        curves: Sequence[str] = (),
    ) -> None:
        self.steps = self.planned = steps
        self.losses: list[tuple[int, float]] = []
        self.curves: dict[str, list[float]] = {name: [] for name in curves}
        self.left: Exception | None = None
        self.resumed = 0
        self._limit = math.inf if seconds is None else seconds
        self._progress, self._clock = progress, clock
        self._started = clock()
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Seconds in training, those of earlier runs included."""
        return self._before + self._clock() - self._started

    def begin(self) -> None:
        """Start the clock; what was loaded before is not training."""
        self._started = self._clock()

    def state(self) -> dict[str, Any]:
        """What a later run has to know, as JSON values."""
        kept = {"losses": self.losses, "curves": self.curves}
        return kept | {"planned": self.planned, "seconds": self.seconds}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on from what an earlier run has left."""
        self.losses = [(step, loss) for step, loss in state["losses"]]
        self.curves = {name: list(values) for name, values in state["curves"].items()}
        self.planned, self._before = state["planned"], state["seconds"]
        self.resumed = self.losses[-1][0] if self.losses else 0

    def rate(self, step: int) -> float:
        """Factor of the learning rate: a short rise, then flat, then down."""
        left = (self.planned - step) / max(1.0, _FALL * self.planned)
        return max(_FLOOR, min((step + 1) / _RISE, 1.0, left))

    def stop_after(self, step: int) -> bool:
        """Fit the plan to the time left; whether ``step`` was the last."""
        fitting = step * self._limit / max(self.seconds, 1e-6)
        self.planned = max(step, int(min(self.steps, fitting)))
        return step >= self.planned

    def note(self, step: int, loss: float, logs: Mapping[str, float] | None = None) -> None:
        """Keep a loss and tell of it."""
        self.losses.append((step, loss))
        for name, values in self.curves.items():
            values.append(round(float((logs or {}).get(name, math.nan)), 5))
        if self._progress:
            seconds = round(self.seconds, 2)
            self._progress(Progress(step=step, steps=self.planned, loss=loss, seconds=seconds))

    def agree(self, over: bool, save: bool) -> tuple[bool, bool]:
        """Whether this was the last step and whether it is saved, as the first process has it."""
        leaving = self.left is not None
        over, save, leaving, self.planned = _ranks.from_first((over, save, leaving, self.planned))
        if leaving and self.left is None:
            self.left = Stopped("The first process was asked to leave.")
        return over, save


def callback(watch: Watch, checkpoints: Checkpoints) -> Any:
    """What a trainer of transformers calls at every step, for a watch."""
    from transformers import TrainerCallback

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.begin()

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            reach("train.step")

        def on_log(
            self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any
        ) -> None:
            if "loss" not in logs:
                return
            # Every step is logged, and after that it may be saved.
            over = watch.stop_after(state.global_step)
            save = not over and checkpoints.due()
            try:
                watch.note(state.global_step, float(logs["loss"]), logs)
            except Exception as error:  # noqa: BLE001 - raised again once the step is saved
                watch.left = error
                over, save = True, checkpoints.wanted
            control.should_training_stop, control.should_save = watch.agree(over, save)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            checkpoints.seal(state.global_step, watch.state())

    return Watching()
