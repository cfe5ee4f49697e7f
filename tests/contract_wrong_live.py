"""Trainers, verifiers and worlds that are wrong in one way each, for the contract suite to notice."""

import random
from pathlib import Path

from contract_checks import results
from contract_wrong import Method, Rows

from instar.errors import UserError
from instar.types import Adapter, Result, Score, Split, Status, Task, ToolSpec


class RightTrainer(Method):
    """Right in form: writes the two files of an adapter."""

    def train(self, dataset, base, parent, out, seed):
        if not dataset.rows:
            raise UserError("Nothing to train on.")
        place = out / "ab12"
        place.mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (place / name).write_text("{}")
        return Adapter(
            name="ab12", path=str(place), base="b", dataset=dataset.hash, recipe={"seed": seed}
        )


class Hallucinating(RightTrainer):
    """Makes an adapter of nothing."""

    def train(self, dataset, base, parent, out, seed):
        return super().train(Rows(rows=({},), hash=dataset.hash), base, parent, out, seed)


class Vandal(RightTrainer):
    """Changes the base."""

    def train(self, dataset, base, parent, out, seed):
        adapter = super().train(dataset, base, parent, out, seed)
        (Path(base) / "config.json").write_text("{}")
        return adapter


class Untidy(RightTrainer):
    """Leaves something half-written behind."""

    def train(self, dataset, base, parent, out, seed):
        adapter = super().train(dataset, base, parent, out, seed)
        (out / "half").mkdir()
        return adapter


class RightScaler(Method):
    """Right: the last of two."""

    async def solve(self, attempt, task, seed):
        made = [await attempt(task, seed + i) for i in range(2)]
        usage = made[0].usage + made[1].usage
        return self.chosen(made).model_copy(update={"seed": seed, "usage": usage})

    def chosen(self, made):
        return made[-1]


class Cheating(RightScaler):
    """Takes the one that the world let pass."""

    def chosen(self, made):
        return max(made, key=lambda t: t.score.value or 0)


class Thrifty(RightScaler):
    """Counts only the attempt that it takes."""

    async def solve(self, attempt, task, seed):
        made = [await attempt(task, seed + i) for i in range(2)]
        return made[-1].model_copy(update={"seed": seed})


class RightVerifier(Method):
    """Right: does not know."""

    async def score(self, task, trajectories):
        return [Score(status=Status.UNKNOWN, source="judge") for _ in trajectories]


class Skipping(RightVerifier):
    """Scores some."""

    async def score(self, task, trajectories):
        return (await super().score(task, trajectories))[1:]


class Guessing(RightVerifier):
    """Puts a number on what it does not know."""

    async def score(self, task, trajectories):
        return [Score(status=Status.UNKNOWN, value=0.5, source="judge") for _ in trajectories]


class RightWorld(Method):
    """Right: press the button of the number that is asked for."""

    id = "buttons"
    namespace = "buttons/0"

    def tasks(self, split, n, seed):
        rng = random.Random(f"{seed}")
        numbers = rng.sample(range(list(Split).index(split), 300, len(Split)), n)
        return [self.task(number, split) for number in numbers]

    def task(self, number, split):
        return Task(
            id=f"press-{number}",
            instruction=f"press {number}",
            world=self.id,
            namespace=self.namespace,
            group="press",
            family="press",
            params={"number": number},
            split=split,
        )

    async def open(self, task, seed):
        return Buttons(task)


class Buttons:
    """An episode."""

    def __init__(self, task, passes=False, raises=False):
        self.task, self.toolset, self.raises = task, self, raises
        self.status = Status.PASS if passes else Status.FAIL

    def tools(self):
        return [ToolSpec(name="press", parameters={"type": "object", "properties": {"number": {}}})]

    async def call(self, name, arguments):
        if name != "press" or set(arguments) != {"number"}:
            if self.raises:
                raise KeyError(name)
            return Result(text="there is press(number) only", error=True)
        self.status = Status.PASS
        return Result(text="ok")

    async def observe(self):
        return "buttons"

    def done(self):
        return False

    async def finish(self, answer):
        return Result(text="ok")

    async def score(self):
        return results("1" if self.status is Status.PASS else "0")[0]

    async def close(self):
        pass


class Giving(RightWorld):
    """Passes whoever does nothing."""

    async def open(self, task, seed):
        return Buttons(task, passes=True)


class Brittle(RightWorld):
    """Raises where a model makes a mistake."""

    async def open(self, task, seed):
        return Buttons(task, raises=True)


class Leaking(RightWorld):
    """Has one set of tasks for everything."""

    def tasks(self, split, n, seed):
        return [self.task(number, split) for number in range(n)]


class Changing(RightWorld):
    """Draws other tasks each time."""

    _rng = random.Random(0)

    def tasks(self, split, n, seed):
        return super().tasks(split, n, self._rng.random())
