"""The contract suite for what rewrites prompts, and rewritings that are wrong in one way each."""

import json

from contract_cases import PROMPTS, episode, task
from contract_checks import check_made
from contract_wrong import Method

from instar.contracts import PromptContext, PromptEvolver, PromptsFound
from instar.types import Reply, Score, Status, Usage

NEW = "work, and tag every order before anything else"


class _Office:
    """Orders are refunded by whoever is told to tag them first."""

    def __init__(self):
        self.tried = []

    async def attempt(self, prompts, tasks):
        self.tried.append((prompts.system, [t.id for t in tasks]))
        right = "tag every order" in prompts.system
        score = Score(status=Status.PASS if right else Status.FAIL, value=float(right))
        return [episode(t, (), score, 0) for t in tasks]


class _Writer:
    """A model that finds the text."""

    name, provider = "writer", "scripted"

    async def complete(self, messages, tools, sampling):
        return Reply(content=f"```\n{NEW}\n```", usage=Usage(calls=1), provider="scripted")


def _context(office, failed):
    tasks = [task(n) for n in range(12)]
    return PromptContext(PROMPTS, tasks[:failed], tasks[failed:], office.attempt, _Writer(), 5)


async def check_evolver(cls):
    check_made(cls, PromptEvolver)
    office = _Office()
    assert (await cls().evolve(_context(office, 0))).prompts is None, (
        "rewrites where nothing failed"
    )
    found = await cls().evolve(_context(office, 4))
    new = found.prompts
    assert new is not None and "tag every order" in new.system, "finds nothing"
    assert new.name != PROMPTS.name, "new prompts under the old name"
    assert new.model_copy(update={"name": "", "system": ""}) == PROMPTS.model_copy(
        update={"name": "", "system": ""}
    ), "changes the fences around memories"
    assert new.system in {system for system, _ in office.tried}, "a text without a try"
    try:
        json.dumps(dict(found.facts), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError("facts are not JSON") from error
    again = await cls().evolve(_context(_Office(), 4))
    assert again.prompts == new, "the same search ends elsewhere"


class RightEvolver(Method):
    """Right: asks once and tries once."""

    async def evolve(self, context):
        if not context.failed:
            return PromptsFound(None, {})
        text = (await context.model.complete([], (), None)).content.strip("`\n")
        new = context.prompts.model_copy(update={"system": text, "name": "new"})
        await context.attempt(new, context.failed)
        return PromptsFound(new, {"tried": 1})


class Anonymous(RightEvolver):
    """Keeps the name."""

    async def evolve(self, context):
        found = await super().evolve(context)
        old = found.prompts and found.prompts.model_copy(update={"name": context.prompts.name})
        return found._replace(prompts=old)


class Unfenced(RightEvolver):
    """Takes the fences away."""

    async def evolve(self, context):
        found = await super().evolve(context)
        return found._replace(
            prompts=found.prompts and found.prompts.model_copy(update={"memory_open": ""})
        )


class Restless(RightEvolver):
    """Rewrites what is right."""

    async def evolve(self, context):
        return await super().evolve(context._replace(failed=context.pool))


class Wishful(RightEvolver):
    """Tries nothing."""

    async def evolve(self, context):
        async def unseen(prompts, tasks):
            return []

        return await super().evolve(context._replace(attempt=unseen))


class Talkative(RightEvolver):
    """Has facts that cannot be kept."""

    async def evolve(self, context):
        found = await super().evolve(context)
        return found._replace(facts={"tried": {1, 2}} if found.prompts else {})
