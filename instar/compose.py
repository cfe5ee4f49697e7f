"""Wires the parts into something that can solve a task: the model of a generation with its adapter,
the memories that it sees, a world to open the task in, and the agent.

    async with Workspace.open(config) as workspace:
        serving = workspace.arm("both", generation)
        solve = workspace.solver(serving, workspace.home, purpose="report")
        trajectory = await solve(task, seed)

The six packages do not know each other; whoever needs an episode is handed such a `solve`. One
process holds one model and one browser, both made when they are first needed.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from instar import tracing
from instar._methods import build
from instar._models import Models
from instar._recalling import recaller, withheld
from instar._serving import ARMS, FOREIGN, Serving, arm
from instar._unmeasured import unmeasured
from instar.config import Config
from instar.contracts import Recall, Solve, World
from instar.errors import EpisodeFault, UserError, WorkspaceError
from instar.store import Store
from instar.types import Generation, Prompts, Sampling, Task, Trajectory

if TYPE_CHECKING:
    from agent.graph import Agent
    from finetune.registry import Registry
    from instar._outside import Outside
    from memory.bank import Bank

__all__ = ["ARMS", "FOREIGN", "Serving", "Workspace"]


class Workspace:
    """An open workspace: the store, and everything that is made of it and of the settings.

    Args:
        config: All settings; ``config.workspace`` is the folder.
        store: Open; it is closed with the workspace.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self.config, self.store = config, store
        self.path: Path = config.workspace
        self.models = Models(config.model, config.agent.outside)
        self._others: dict[str, Models] = {}
        self._worlds: dict[tuple[int | None, bool, float], World] = {}

    @classmethod
    def open(cls, config: Config, create: bool = True) -> Workspace:
        """Open the folder of the settings.

        Raises:
            WorkspaceError: It cannot be used, or does not exist and may not be made.
        """
        if create:
            try:
                config.workspace.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WorkspaceError(
                    f"{config.workspace} cannot be made: {error.strerror}. "
                    "Choose another: --workspace DIR"
                ) from error
        if config.telemetry.spans:
            tracing.start(config.telemetry.content)
        return cls(config, Store.open(config.workspace / "instar.db", create))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close worlds, model and store, whatever fails on the way."""
        async with AsyncExitStack() as stack:
            stack.callback(tracing.flush)
            stack.callback(self.store.close)
            if "outside" in self.__dict__:
                stack.push_async_callback(self.outside.close)
            for models in (self.models, *self._others.values()):
                stack.push_async_callback(models.close)
            if "bank" in self.__dict__:
                stack.callback(self.bank.close)
            for world in self._worlds.values():
                close = getattr(world, "close", None)
                if close is not None:
                    stack.push_async_callback(close)

    @cached_property
    def bank(self) -> Bank:
        """The memory bank over the store."""
        from memory.bank import Bank
        from memory.embed import load_embedder

        memory = self.config.memory
        options: dict[str, Any] = {
            "k": memory.k,
            "tokens": memory.tokens,
            "namespaces": memory.namespaces,
            "kinds": memory.kinds,
            "near": memory.same,
        }
        if memory.floor is not None:
            options["floor"] = memory.floor
        embedder = load_embedder(memory.embedder, memory.embedder_url, self.store.embedder())
        return Bank(
            self.store, embedder, self.path / "index", index_url=memory.index_url, **options
        )

    @cached_property
    def registry(self) -> Registry:
        """The folder of adapters."""
        from finetune.registry import Registry

        return Registry(self.path / "adapters", self.store)

    def model(self, name: str | None = None) -> Models:
        """The model of the settings, or another one with all else as set, made once."""
        if name is None or name == self.models.name:
            return self.models
        if name not in self._others:
            self._others[name] = Models(self.config.model.model_copy(update={"name": name}))
        return self._others[name]

    def base(self, model: str | None = None) -> str | None:
        """Hash of the weights of a model in a folder here; None where there are none."""
        from finetune.registry import base_hash

        folder = self.model(model).folder
        with suppress(UserError):  # whoever loads it says what is missing
            return base_hash(folder) if folder else None
        return None

    # Worlds

    @property
    def house(self) -> int:
        """Number of the house at home: as configured, else the seed."""
        house = self.config.world.house
        return self.config.seed if house is None else house

    def world(
        self, house: int | None = None, free: bool = False, web_share: float | None = None
    ) -> World:
        """A world of the configured kind, made once.

        Args:
            house: Which one, by default the one at home; worlds without houses ignore it.
            free: Without rules, where the world knows that.
            web_share: Share of tasks by the web door, by default as in practise.
        """
        number = self.house if house is None else house
        share = self.config.practise.web_share if web_share is None else web_share
        key = (number, free, share)
        if key not in self._worlds:
            settings = {"house": number, "free": free, "web_share": share}
            self._worlds[key] = build(
                "benchmarks.worlds", self.config.world.name, self.config, **settings
            )
        return self._worlds[key]

    @property
    def home(self) -> World:
        """Where the agent works."""
        return self.world()

    @property
    def foreign(self) -> World | None:
        """Another house of the same world, by the tool door; None where there are no houses."""
        world = self.world(self.house + FOREIGN, web_share=0.0)
        return world if world.namespace != self.home.namespace else None

    # Episodes

    def arm(self, name: str, generation: Generation, placebo: str | None = None) -> Serving:
        """What an arm of an evaluation serves; see `instar._serving.arm`."""
        foreign = self.foreign.namespace if self.foreign else None
        return arm(name, generation, foreign, placebo)

    def recall(self, serving: Serving, guard: frozenset[str], purpose: str) -> Recall | None:
        """How an episode recalls; None where it is served without memory.

        Args:
            serving: What answers.
            guard: Options of `memory.bank.GUARDS`.
            purpose: What it is run for; decides whether memories are withheld.
        """
        if serving.memory is None:
            return None
        shares = withheld(self.config.memory, purpose)
        return recaller(self.bank, serving, guard, shares, self.home)

    @cached_property
    def outside(self) -> Outside:
        """The agent of somebody's own that does the tasks, where the settings name one."""
        from instar._outside import Outside

        return Outside(self)

    def agent(
        self,
        serving: Serving,
        sampling: Sampling,
        guard: frozenset[str] = frozenset(),
        purpose: str = "",
        **parts: Any,
    ) -> Agent:
        """The agent as a generation has it.

        Args:
            serving: What answers.
            sampling: How to decode.
            guard: Options of `memory.bank.GUARDS`.
            purpose: What its episodes are run for; decides whether memories are withheld.
            parts: Go to `agent.graph.Agent`.
        """
        from agent.budget import Budget
        from agent.graph import Agent

        recall = self.recall(serving, guard, purpose)
        name = serving.adapter
        found = self.registry.get(name, self.base(serving.model)) if name else None
        folder = Path(found.path) if found else None
        limits = self.config.agent
        budget = Budget(steps=limits.max_steps, tokens=limits.max_tokens, loop=limits.loop)
        return Agent(
            self.model(serving.model).client(folder),
            self.prompts(serving.prompts),
            recall=recall,
            **{"budget": budget, "sampling": sampling, **parts},
        )

    def prompts(self, evolved: Prompts | None = None) -> Prompts:
        """Evolved prompts, or where there are none those of the settings."""
        from agent.prompts import load_prompts

        return evolved or load_prompts(self.config.agent.prompts)

    def sampling(self, sampled: bool) -> Sampling:
        """How to decode: with a temperature in practise, greedily where it is measured."""
        model = self.config.model
        heat = model.temperature_practise if sampled else 0.0
        return Sampling(temperature=heat, max_tokens=model.max_tokens)

    def solver(
        self,
        serving: Serving,
        world: World,
        purpose: str,
        arm: str = "",
        sampled: bool = False,
        guard: frozenset[str] = frozenset(),
    ) -> Solve:
        """How to attempt a task of a world: open it, let the agent work, score and close it.

        Args:
            serving: What answers.
            world: Where the tasks are opened.
            purpose: What the episodes are run for.
            arm: Arm of an evaluation.
            sampled: Whether to sample; the default is greedy. An agent of somebody's own decodes
                as it does.
            guard: What recall leaves out, for evaluation; options of `memory.bank.GUARDS`.
        """
        if self.config.agent.outside:
            return self.outside.solver(serving, world, purpose, arm, guard)
        agent = self.agent(serving, self.sampling(sampled), guard, purpose)
        name = self.model(serving.model).name  # as it was asked for, whatever adapter it carries

        async def solve(task: Task, seed: int) -> Trajectory:
            try:
                episode = await world.open(task, seed)
            except EpisodeFault as fault:
                return unmeasured(self, task, seed, serving, purpose, arm, str(fault))
            found = await agent.run(
                task,
                episode,
                seed=seed,
                generation=serving.generation,
                adapter=serving.adapter,
                purpose=purpose,
                arm=arm,
            )
            return found.model_copy(update={"model": name})

        return solve
