"""The contracts between the packages: protocols of one to three methods.

Whatever touches a model, a tool or an episode is async. The six packages know these protocols and
not each other; `instar.compose` hands concrete parts and callables from one to the next.
"""

from __future__ import annotations

from instar.contracts.acting import (
    ChatModel,
    Episode,
    Explorable,
    Probe,
    Recall,
    Scaler,
    Solve,
    Toolset,
    Verifier,
    World,
)
from instar.contracts.learning import (
    Choose,
    Curator,
    Dataset,
    Distiller,
    ExploringProposer,
    Forgetter,
    Join,
    ModelDistiller,
    ModelProposer,
    ProposalContext,
    Proposer,
    Selector,
    Stateful,
    Trainer,
    Walk,
    Walked,
)
from instar.contracts.prompting import Attempt, PromptContext, PromptEvolver, PromptsFound

__all__ = [
    "Attempt",
    "ChatModel",
    "Choose",
    "Curator",
    "Dataset",
    "Distiller",
    "Episode",
    "Explorable",
    "ExploringProposer",
    "Forgetter",
    "Join",
    "ModelDistiller",
    "ModelProposer",
    "Probe",
    "PromptContext",
    "PromptEvolver",
    "PromptsFound",
    "Proposer",
    "ProposalContext",
    "Recall",
    "Scaler",
    "Selector",
    "Solve",
    "Stateful",
    "Toolset",
    "Trainer",
    "Verifier",
    "Walk",
    "Walked",
    "World",
]
