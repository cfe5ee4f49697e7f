"""The search of the package `gepa` over one text, with our episodes as its evaluations.

GEPA is synchronous and runs in a thread of its own; what it asks for is awaited on the event loop. It
takes an error of a proposal for bad luck and goes on, so that errors are kept here and end the search.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import gepa

from agent.prompt._rewriting import Rewriting
from instar.contracts import Attempt
from instar.types import Prompts, Status, Task, Trajectory

if TYPE_CHECKING:
    from agent.prompt.reflective import Reflective

__all__ = ["Search", "SearchFound"]

_LOG = logging.getLogger(__name__)
_TEXT = "system"
_PERFECT = 1.0

T = TypeVar("T")


class SearchFound(NamedTuple):
    """The text that did best, and figures of the search."""

    system: str
    facts: dict[str, Any]


class Search:
    """What GEPA calls an adapter.

    Args:
        prompts: Of which the standing instructions are searched for.
        attempt: Runs episodes.
        rewriting: Asks for new texts.
        loop: Where both are awaited.
    """

    def __init__(
        self,
        prompts: Prompts,
        attempt: Attempt,
        rewriting: Rewriting,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._prompts, self._attempt, self._rewriting, self._loop = (
            prompts,
            attempt,
            rewriting,
            loop,
        )
        self._error: Exception | None = None
        self._ran = 0

    def run(
        self,
        failed: Sequence[Task],
        compared: Sequence[Task],
        settings: Reflective.Config,
        seed: int,
    ) -> SearchFound:
        """Search until a ceiling is reached or every text is perfect where it was tried."""

        def over(_: object) -> bool:
            spent = self._ran >= settings.episodes or self._rewriting.asked >= settings.rewritings
            return spent or self._error is not None

        found = gepa.optimize(
            seed_candidate={_TEXT: self._prompts.system},
            trainset=list(failed),
            valset=list(compared),
            adapter=self,
            reflection_minibatch_size=min(settings.minibatch, len(failed)),
            perfect_score=_PERFECT,
            # Ends a search that finds nothing to mend too: a perfect minibatch costs its episodes.
            max_metric_calls=2 * settings.episodes,
            stop_callbacks=[over],
            logger=_Quiet(),
            seed=seed,
        )
        if self._error is not None:
            raise self._error
        scores = [round(score, 4) for score in found.val_aggregate_scores]
        facts = {
            "episodes_run": self._ran,
            "accepted": len(scores) - 1,
            "scores": scores,
            "front": len(
                {i for best in found.per_val_instance_best_candidates.values() for i in best}
            ),
        }
        return SearchFound(found.candidates[found.best_idx][_TEXT], facts)

    # What GEPA asks for

    def evaluate(
        self, batch: list[Task], candidate: Mapping[str, str], capture_traces: bool = False
    ) -> Any:
        """Episodes of these tasks with a text, each with the world's score."""
        prompts = self._prompts.model_copy(update={_TEXT: candidate[_TEXT]})
        # A search may meet one task twice in a batch; an episode is run once.
        tasks = list({task.id: task for task in batch}.values())
        lived = self._await(self._attempt(prompts, tasks))
        self._ran += len(tasks)
        by_task = {one.task.id: one for one in lived}
        made = [by_task[task.id] for task in batch]
        scores = [_score(one) for one in made]
        return gepa.EvaluationBatch(outputs=made, scores=scores, trajectories=made)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """The episodes as they are: `propose_new_texts` tells them."""
        return {_TEXT: [{"lived": one} for one in eval_batch.trajectories]}

    def propose_new_texts(
        self,
        candidate: Mapping[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """A new text; nothing where the model wrote none that can be used."""
        lived = [told["lived"] for told in reflective_dataset[_TEXT]]
        found = self._await(self._rewriting.write(candidate[_TEXT], lived))
        return {} if found is None else {_TEXT: found}

    def _await(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        try:
            found = asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()
        except Exception as error:
            self._error = self._error or error
            raise
        return found


def _score(one: Trajectory) -> float:
    if one.score.status is Status.UNKNOWN or one.score.value is None:
        return 0.0
    return one.score.value


class _Quiet:
    """Where GEPA writes what it does."""

    def log(self, message: str) -> None:
        _LOG.debug("%s", message)
