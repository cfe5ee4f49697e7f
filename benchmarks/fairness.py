"""Were the arms given the same chance? Found from the records of a run, not from its intentions.

Every arm must have run the same attempts with the same seeds, prompts and limits; no arm may have
been shown what was learnt from the very task that it was asked; and where nothing may be learnt
while the run lasts, nothing may have been written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from benchmarks.runner import Line, Settings
from instar.types import Record, Status

__all__ = ["Fairness", "Limits", "SourcesOf", "examine"]

SourcesOf = Callable[[str, int], Collection[str]]
"""Ids of the tasks that a version of a memory item was learnt from."""

_OTHER_PROMPTS = ("prompt", "whole")
"""Arms of which other prompts are what is measured."""
_SHOWN = 20


class Limits(Record):
    """What an episode of any arm may use."""

    steps: int
    tokens: int


class Fairness(Record):
    """What was found: one line a violation, the first ones of many."""

    fair: bool
    problems: tuple[str, ...] = ()


def examine(
    settings: Settings,
    lines: Sequence[Line],
    limits: Limits,
    sources_of: SourcesOf,
    written: int = 0,
) -> Fairness:
    """Check the episodes of a run.

    Args:
        settings: What the run measures.
        lines: Its episodes.
        limits: Of every episode.
        sources_of: Tasks behind a recalled memory.
        written: Changes made to the memory while the run lasted.
    """
    problems = [
        *_same_attempts(settings, lines),
        *_same_prompts(lines),
        *_within(lines, limits),
        *_own_lessons(lines, sources_of),
    ]
    if written and settings.protocol == "frozen":
        problems.append(f"{written} changes were made to the memory while the run lasted")
    return Fairness(fair=not problems, problems=tuple(problems[:_SHOWN]))


def _same_attempts(settings: Settings, lines: Sequence[Line]) -> Iterator[str]:
    seeds: dict[tuple[str, int], dict[str, int]] = {}
    for line in lines:
        seeds.setdefault(line.key[1:], {})[line.arm] = line.trajectory.seed
    whole = len(lines) == settings.n * settings.attempts * len(settings.arms)
    for (task, attempt), by_arm in seeds.items():
        if len(set(by_arm.values())) > 1:
            yield f"task {task}, attempt {attempt}: the arms had different seeds"
        absent = [arm for arm in settings.arms if arm not in by_arm]
        if whole and absent:
            yield f"task {task}, attempt {attempt}: not run by {', '.join(absent)}"


def _same_prompts(lines: Sequence[Line]) -> Iterator[str]:
    prompts: dict[str, str] = {}
    for line in (x for x in lines if x.arm not in _OTHER_PROMPTS):
        prompts.setdefault(line.trajectory.prompts.model_dump_json(), line.arm)
    if len(prompts) > 1:
        yield f"the arms had different prompts, from {', '.join(prompts.values())} on"


def _within(lines: Sequence[Line], limits: Limits) -> Iterator[str]:
    for line in lines:
        if len(line.trajectory.steps) > limits.steps:
            yield f"{line.arm}, task {line.key[1]}: more than {limits.steps} steps"
        before_last = sum(s.usage.tokens for s in line.trajectory.steps[:-1])
        if before_last > limits.tokens:
            yield f"{line.arm}, task {line.key[1]}: went on after {limits.tokens} tokens"


def _own_lessons(lines: Sequence[Line], sources_of: SourcesOf) -> Iterator[str]:
    for line in lines:
        if line.trajectory.score.status == Status.UNKNOWN:
            continue
        for memory in line.trajectory.memories:
            own = {line.key[1], *line.trajectory.task.parents}
            if memory.shown and own & set(sources_of(memory.item, memory.version)):
                yield f"{line.arm}, task {line.key[1]}: was shown {memory.item}, learnt from it"
