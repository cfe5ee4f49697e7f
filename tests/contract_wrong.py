"""Learning methods that are wrong in one way each, to show that the contract suite notices."""

import random

from pydantic import BaseModel, Field

from instar.errors import ConfigError
from instar.types import (
    MemoryItem,
    MemoryOp,
    OpKind,
    Record,
    Sampling,
    Split,
    Status,
    TaskDraft,
    ToolCall,
    content_hash,
)


class Method:
    """What a wrong method still does right: settings, and a count as its state."""

    class Config(Record):
        """None."""

    def __init__(self, config=None):
        self.config = config or self.Config()
        self.count = 0

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class RightSelector(Method):
    """Right: each task in turn; the wrong ones below change one thing."""

    def select(self, pool, k, rng):
        order = sorted(pool, key=lambda t: t.id)
        rng.shuffle(order)
        shift = self.count % len(order) if order else 0
        return (order[shift:] + order[:shift])[:k]

    def update(self, attempts, groups):
        for scores in attempts.values():
            if len(scores) < 2:
                raise ConfigError("two attempts a task are needed: -o practise.attempts=2")
            self.count += sum(s.status is Status.PASS for s in scores)


class Repeating(RightSelector):
    """Draws a task twice."""

    def select(self, pool, k, rng):
        return rng.choices(list(pool), k=k) if pool else []


class Forgetful(RightSelector):
    """Saves nothing of what it learnt."""

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        self.count = 0


class Unrepeatable(RightSelector):
    """Has a generator of its own."""

    _rng = random.Random(0)

    def select(self, pool, k, rng):
        return super().select(pool, k, self._rng)


class Credulous(RightSelector):
    """Learns from a single attempt."""

    def update(self, attempts, groups):
        self.count += sum(s.status is Status.PASS for group in attempts.values() for s in group)


class Superstitious(RightSelector):
    """Takes unknown for failed."""

    def update(self, attempts, groups):
        super().update(attempts, groups)
        self.count += 3 * sum(s.status is Status.UNKNOWN for a in attempts.values() for s in a)


class Unwritable(RightSelector):
    """Its state is not JSON."""

    def state_dict(self):
        return {"count": (self.count,)}

    def load_state_dict(self, state):
        self.count = state["count"][0]


class Mutable(RightSelector):
    """Its settings can be changed."""

    class Config(BaseModel):
        """Not frozen."""

        model_config = {"extra": "forbid"}


class Stateless(RightSelector):
    """Cannot be saved."""

    state_dict = None


class RightProposer(Method):
    """Right: the next number after a failure's."""

    def propose(self, context, n, rng):
        if any(t.task.split is not Split.PRACTISE for t in [*context.failures, *context.successes]):
            raise ValueError("practise tasks only")
        failures = sorted(context.failures, key=lambda t: t.id)
        if not failures:
            return []
        self.count += 1
        return [self.draft(rng.choice(failures).task, self.count) for _ in range(n)]

    def draft(self, task, number, **changes):
        values = {"world": task.world, "family": task.family, "parents": (task.id,)}
        params = {**task.params, "ids": [str(number)]}
        return TaskDraft(**{"params": params, "proposer": "next", **values, **changes})


class Overeager(RightProposer):
    """Proposes more than it was asked for."""

    def propose(self, context, n, rng):
        return super().propose(context, n + 1, rng)


class Fatherless(RightProposer):
    """Names parents that it was not shown."""

    def draft(self, task, number, **changes):
        return super().draft(task, number, parents=("held_out-20",))


class Curious(RightProposer):
    """Looks at whatever it is given."""

    def propose(self, context, n, rng):
        known = [t for t in context.failures if t.task.split is Split.PRACTISE]
        self.count += 1
        return [self.draft(rng.choice(known).task, self.count) for _ in range(n)] if known else []


class Restarting(RightProposer):
    """Begins anew after a stop."""

    def load_state_dict(self, state):
        self.count = 0


class RightExplorer(Method):
    """Right: makes one call on each walk, and proposes what came of it."""

    async def explore(self, walk, context, n, rng):
        if any(t.task.split is not Split.PRACTISE for t in [*context.failures, *context.successes]):
            raise ValueError("practise tasks only")
        drafts = []
        for _ in range(n if context.recent else 0):
            self.count += 1
            walked = await walk(rng.choice(context.recent), self.count, self.choose, 1)
            drafts += [self.draft(d) for d in walked.drafts]
        return drafts

    async def choose(self, tools, steps, seen):
        return ToolCall(id="1", name="ship", arguments={"order": str(self.count)})

    def draft(self, found):
        return found.model_copy(update={"proposer": "right"})


class Modest(RightExplorer):
    """Does not say that it was the one."""

    def draft(self, found):
        return found


class Straying(RightExplorer):
    """Never comes back to where it was."""

    def load_state_dict(self, state):
        self.count = 0


class RightDistiller(Method):
    """Right: one lesson a family of refused practise tasks."""

    def distill(self, trajectories, bank):
        known = {i.id for i in bank}
        fits = [t for t in trajectories if self.fits(t)]
        items = {t.task.family: self.item(t) for t in fits}
        return [self.op(i) for i in items.values() if i.id not in known]

    def fits(self, trajectory):
        practise = trajectory.task.split is Split.PRACTISE
        return practise and trajectory.score.status is Status.FAIL

    def op(self, item):
        return MemoryOp(kind=OpKind.ADD, item=item)

    def item(self, trajectory):
        task = trajectory.task
        return MemoryItem(
            id=content_hash([task.namespace, task.family]),
            title=task.family,
            when=f"{task.family} order $1",
            content="tag first",
            kind="lesson",
            namespace=task.namespace,
            sources=(trajectory.id,),
        )


class Peeking(RightDistiller):
    """Learns from tasks that are held out."""

    def fits(self, trajectory):
        return trajectory.task.split is not Split.PRACTISE


class Doubling(RightDistiller):
    """Adds what is there already."""

    def distill(self, trajectories, bank):
        return super().distill(trajectories, [])


class Editing(RightDistiller):
    """Edits what nobody has written."""

    def op(self, item):
        return MemoryOp(kind=OpKind.EDIT, target=item.id, item=item)


class RightAsker(RightDistiller):
    """Right: the content is what a model says after a word that was asked for."""

    example = "remember: tag first"
    distill = None

    def __init__(self, config=None):
        super().__init__(config)
        self.asked, self.refused = 0, 0

    def state_dict(self):
        return {"answers": {"asked": self.asked, "refused": {"form": self.refused}}}

    def load_state_dict(self, state):
        self.asked = state["answers"]["asked"]
        self.refused = state["answers"]["refused"]["form"]

    async def distill_with(self, model, trajectories, bank):
        items = {}
        for t in trajectories:
            if self.fits(t):
                self.asked += 1
                reply = await model.complete([], (), Sampling())
                if self.kept(reply.content):
                    items[t.task.family] = self.item(t)
                else:
                    self.refused += 1
        known = {i.id for i in bank}
        return [self.op(i) for i in items.values() if i.id not in known]

    def kept(self, text):
        return text == self.example


class Gullible(RightAsker):
    """Keeps whatever a model says."""

    def kept(self, text):
        return True


class Uncounting(RightAsker):
    """Does not tell what it refused."""

    def state_dict(self):
        return {"answers": {"asked": self.asked, "refused": {"form": 0}}}


class Rows(Record):
    """A dataset."""

    rows: tuple[dict, ...] = ()
    dropped: dict[str, str] = Field(default_factory=dict)
    hash: str


class RightCurator(Method):
    """Right: one row a success at a practise task, by the word of the environment."""

    def curate(self, trajectories):
        used = [t for t in trajectories if self.fits(t)]
        rows = tuple(self.row(t) for t in used)
        dropped = {t.id: "not fit" for t in trajectories if t not in used}
        return Rows(rows=rows, dropped=dropped, hash=content_hash(list(rows)))

    def fits(self, t):
        practise = t.task.split is Split.PRACTISE
        return practise and t.score.status is Status.PASS and t.score.source == "environment"

    def row(self, t):
        prompt = [{"role": "user", "content": t.task.instruction}]
        completion = [{"role": "assistant", "content": "done"}]
        return {"prompt": prompt, "completion": completion, "tools": [], "trajectory": t.id}


class Indiscriminate(RightCurator):
    """Trains on failures too."""

    def fits(self, t):
        return t.task.split is Split.PRACTISE


class Silent(RightCurator):
    """Drops without a reason."""

    def curate(self, trajectories):
        return super().curate(trajectories).model_copy(update={"dropped": {}})


class OneHash(RightCurator):
    """Calls all datasets the same."""

    def curate(self, trajectories):
        return super().curate(trajectories).model_copy(update={"hash": "0"})


class RightPairs(RightCurator):
    """Right: each success with the failure at its task, its answer preferred."""

    def curate(self, trajectories):
        failed = {t.task.id: t for t in trajectories if t.score.status is Status.FAIL}
        both = [
            (t, failed[t.task.id]) for t in trajectories if self.fits(t) and t.task.id in failed
        ]
        rows = tuple(self.pair(t, other) for t, other in both)
        used = {t.id for pair in both for t in pair}
        dropped = {t.id: "not fit" for t in trajectories if t.id not in used}
        return Rows(rows=rows, dropped=dropped, hash=content_hash(list(rows)))

    def pair(self, better, worse):
        row = self.row(better)
        rejected = [{"role": "assistant", "content": "no"}]
        return row | {"chosen": row.pop("completion"), "rejected": rejected, "against": worse.id}


class Contrary(RightPairs):
    """Prefers the failure."""

    def pair(self, better, worse):
        return super().pair(worse, better)


class Indifferent(RightPairs):
    """Prefers an answer to the same."""

    def pair(self, better, worse):
        row = super().pair(better, worse)
        return row | {"rejected": row["chosen"]}
