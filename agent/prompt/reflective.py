"""Reflective prompt evolution by GEPA: texts rewritten from failures, a Pareto front over tasks.

Agrawal et al. (2025), "GEPA: Reflective Prompt Evolution Can Outperform Reinforcement Learning"; the
search is that of the package `gepa`, which this file only connects. A parent is drawn from the
candidates that are best at some task, tried on a few tasks that failed, and rewritten by a model that
reads what happened there; the child replaces nothing, and is compared on all tasks only if it does
better on those few. Success is the world's word, 1 or its graded value; what is unknown counts 0.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from pydantic import Field

from agent.prompt._rewriting import Rewriting
from agent.prompt._search import Search
from instar.contracts import PromptContext, PromptsFound
from instar.threads import in_thread
from instar.types import Prompts, Record, Task, content_hash

__all__ = ["Reflective"]


class Reflective:
    """Rewrites the standing instructions, and leaves the fences around memories as they are."""

    class Config(Record):
        """Settings.

        Attributes:
            episodes: Ends the search: no further text is tried once so many were run.
            tasks: How many tasks every accepted text is compared on.
            minibatch: How many failures a rewriting looks at.
            rewritings: Ends the search too: texts asked for.
            longest: Characters that a text may have.
            characters: How much of one episode the model is shown.
            temperature: Of the model that writes.
            max_tokens: Room for its answer.
        """

        episodes: int = Field(default=120, ge=4)
        tasks: int = Field(default=16, ge=2)
        minibatch: int = Field(default=4, ge=2)
        rewritings: int = Field(default=12, ge=1)
        longest: int = Field(default=6_000, ge=40)
        characters: int = Field(default=2_000, ge=200)
        temperature: float = Field(default=1.0, ge=0)
        max_tokens: int = Field(default=2_048, ge=32)

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()

    async def evolve(self, context: PromptContext) -> PromptsFound:
        """Search, and give the text that does best over all tasks if that is not the present one.

        Raises:
            ModelFault: No answer of the model came at all.
        """
        if not context.failed:
            return PromptsFound(None, {"reason": "no task failed in practice"})
        shuffled = random.Random(context.seed)
        compared = self._compared(context, shuffled)
        rewriting = Rewriting(self.config, context.prompts, context.model, context.seed)
        here = asyncio.get_running_loop()
        search = Search(context.prompts, context.attempt, rewriting, here)
        found = await in_thread(
            lambda: search.run(list(context.failed), compared, self.config, context.seed)
        )
        facts = {**found.facts, **rewriting.facts, "tasks": len(compared)}
        if found.system == context.prompts.system:
            return PromptsFound(None, facts | {"reason": "no text did better than the present one"})
        return PromptsFound(_named(context.prompts, found.system), facts)

    def _compared(self, context: PromptContext, rng: random.Random) -> Sequence[Task]:
        """Half of what failed, at most, and others: a text must not win by spoiling what goes well."""
        failed = rng.sample(list(context.failed), min(len(context.failed), self.config.tasks // 2))
        known = {task.id for task in context.failed}
        others = [task for task in context.pool if task.id not in known]
        return [*failed, *rng.sample(others, min(len(others), self.config.tasks - len(failed)))]


def _named(prompts: Prompts, system: str) -> Prompts:
    name = f"{prompts.name.partition('+')[0]}+{content_hash(system, 8)}"
    return prompts.model_copy(update={"name": name, "system": system})
