"""The contracts between the packages: protocols of one to three methods.

Whatever touches a model, a tool or an episode is async. The six packages know these protocols and
not each other; `instar.compose` hands concrete parts and callables from one to the next.
"""

from __future__ import annotations

from instar.contracts.acting import (
    ChatModel,
    Episode,
    Probe,
    Recall,
    Scaler,
    Solve,
    Toolset,
    Verifier,
    World,
)
from instar.contracts.learning import (
    Curator,
    Dataset,
    Distiller,
    Forgetter,
    Join,
    ModelDistiller,
    ModelProposer,
    ProposalContext,
    Proposer,
    Selector,
    Stateful,
    Trainer,
)

__all__ = [
    "ChatModel",
    "Curator",
    "Dataset",
    "Distiller",
    "Episode",
    "Forgetter",
    "Join",
    "ModelDistiller",
    "ModelProposer",
    "Probe",
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
    "World",
]
