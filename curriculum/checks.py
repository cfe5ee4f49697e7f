"""What a draft must pass before it is practised, cheap checks first; the first that fails says why.

Checks of a draft without its world (lineage, form), then the world makes the task or says what does
not fit, then the task is compared with all that are known. Near-duplicates are found by words only
where no parameters define the task; where they do, two tasks with like words may well differ.
What takes episodes, whether it can be solved and how often it is, is asked elsewhere of those that pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from instar.types import Record, Split, Task, TaskDraft

__all__ = ["Admitted", "Refused", "check"]

_NEAR = 0.8
_LONGEST = 2000


class Admitted(Record):
    """A task that may be practised."""

    task: Task


class Refused(Record):
    """A draft that may not, and why."""

    reason: str


def check(
    draft: TaskDraft, make: Callable[[TaskDraft], Task], known: Sequence[Task]
) -> Admitted | Refused:
    """Decide on a draft.

    Args:
        draft: What was proposed.
        make: Makes a practise task of a draft; a ``ValueError`` says what does not fit.
        known: All tasks known so far, of every split; the parents must be among them.
    """
    reason = _lineage(draft, {t.id: t for t in known})
    if reason:
        return Refused(reason=reason)
    try:
        made = make(draft)
    except ValueError as error:
        return Refused(reason=f"the world cannot make it: {' '.join(str(error).split())}")
    task = made.model_copy(update={"origin": draft.proposer, "parents": draft.parents})
    reason = _form(draft, task) or _repeats(task, known)
    return Refused(reason=reason) if reason else Admitted(task=task)


def _lineage(draft: TaskDraft, known: Mapping[str, Task]) -> str:
    if not draft.proposer:
        return "it names no proposer"
    for parent in draft.parents:
        if parent not in known:
            return f"its parent {parent} is not known"
        if known[parent].split is not Split.PRACTISE:
            return f"its parent {parent} is a {known[parent].split} task"
    return ""


def _form(draft: TaskDraft, task: Task) -> str:
    if task.world != draft.world:
        return f"the task is of world {task.world}, the draft of {draft.world}"
    if task.split is not Split.PRACTISE:
        return f"it falls into the {task.split} tasks"
    if not task.instruction.strip():
        return "its instruction is empty"
    if len(task.instruction) > _LONGEST:
        return f"its instruction is longer than {_LONGEST} characters"
    return ""


def _repeats(task: Task, known: Sequence[Task]) -> str:
    for other in known:
        if task.id == other.id:
            return f"it is task {other.id}"
        if task.namespace != other.namespace:
            continue
        if other.split is not Split.PRACTISE and task.instruction == other.instruction:
            return f"it asks the same as the {other.split} task {other.id}"
        if _same(task, other):
            return f"it repeats task {other.id}"
    return ""


def _same(task: Task, other: Task) -> bool:
    if task.params or other.params:
        return task.params == other.params and task.family == other.family
    return _overlap(task.instruction, other.instruction) >= _NEAR


def _overlap(first: str, second: str) -> float:
    """Jaccard similarity of the words."""
    one, two = set(first.lower().split()), set(second.lower().split())
    return len(one & two) / len(one | two) if one | two else 1.0
