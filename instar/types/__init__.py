"""The records that everything else passes around: frozen, and equal after a round trip through JSON.

A record holds data only. What acts on it lives in the package that owns the verb: a trajectory is
made by `agent`, rendered by `instar.render`, kept by `instar.store`, learnt from by `memory` and
`finetune`. "Not measured" is ``None``, never zero.
"""

from __future__ import annotations

from instar.types.episode import Score, ScoreSource, Status, StopReason, Trajectory
from instar.types.generation import Adapter, Generation, GenerationStatus
from instar.types.memory import (
    BankDraw,
    MemoryItem,
    MemoryKind,
    MemoryOp,
    MemoryStatus,
    OpKind,
    Origin,
    Recalled,
    Recollection,
)
from instar.types.record import Record, content_hash
from instar.types.task import Reading, Split, Task, TaskDraft
from instar.types.turn import (
    Message,
    Prompts,
    Reply,
    Result,
    Sampling,
    Step,
    ToolCall,
    ToolSpec,
    Usage,
)

__all__ = [
    "Adapter",
    "BankDraw",
    "Generation",
    "GenerationStatus",
    "MemoryItem",
    "MemoryKind",
    "MemoryOp",
    "MemoryStatus",
    "Message",
    "OpKind",
    "Origin",
    "Prompts",
    "Reading",
    "Recalled",
    "Recollection",
    "Record",
    "Reply",
    "Result",
    "Sampling",
    "Score",
    "ScoreSource",
    "Split",
    "Status",
    "Step",
    "StopReason",
    "Task",
    "TaskDraft",
    "ToolCall",
    "ToolSpec",
    "Trajectory",
    "Usage",
    "content_hash",
]
