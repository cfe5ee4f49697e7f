"""Every error that Instar raises on purpose.

    InstarError
    ├── UserError              the user can mend it; shown as one line, never as a traceback
    │   ├── ConfigError        an unknown key, a value of the wrong type
    │   ├── UnknownName        a method, model, world, generation or arm that does not exist
    │   ├── CannotLoad         the files of a model are damaged or missing
    │   ├── MissingExtra       a package or program that has to be installed first
    │   └── WorkspaceError     a workspace that is damaged or of another version
    │       └── Busy           another process has the workspace, or the GPU, for now
    ├── Stopped                a limit was reached, or somebody asked: the same command goes on
    ├── EpisodeFault           the infrastructure failed: the episode's score is unknown
    └── ModelFault             the model could not be reached or refused the request

A model that answers with garbage or a tool that fails is not an error here: both are text that
the model reads in its next turn, and data in the trajectory.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "Busy",
    "CannotLoad",
    "ConfigError",
    "EpisodeFault",
    "InstarError",
    "MissingExtra",
    "ModelFault",
    "Stopped",
    "UnknownName",
    "UserError",
    "WorkspaceError",
]


_REASON = 300


class InstarError(Exception):
    """Base of all errors raised on purpose."""


class UserError(InstarError):
    """Something the user can mend; the message says what to type."""


class ConfigError(UserError):
    """A setting that does not exist or does not fit its type."""


class UnknownName(UserError):
    """A name that is not among those that exist.

    Args:
        kind: What was looked for, such as ``"world"``.
        name: What was typed.
        known: The names that exist.
        hint: The command that lists or mends, if there is one.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(names) if names else "none"
        tail = f" {hint}" if hint else ""
        super().__init__(f"Unknown {kind} {name!r}.{guess} Available: {listed}.{tail}")


class CannotLoad(UserError):
    """The files of a model are damaged or missing.

    Args:
        folder: Where they are.
        error: What loading them failed with.
    """

    def __init__(self, folder: object, error: Exception) -> None:
        reason = " ".join(str(error).split()) or type(error).__name__
        shown = reason if len(reason) <= _REASON else f"{reason[:_REASON]}..."
        super().__init__(f"Cannot load the model {str(folder)!r}: {shown}")


class MissingExtra(UserError):
    """A package or program that the request needs is not installed.

    Args:
        what: The package or program.
        remedy: The command that installs it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} is not installed. Install it with: {remedy}")


class WorkspaceError(UserError):
    """A workspace that cannot be used as it is."""


class Stopped(InstarError):
    """A run that left on purpose before it was done; what was finished is saved."""


class Busy(WorkspaceError):
    """Another process has what is needed, for now."""


class EpisodeFault(InstarError):
    """The infrastructure under an episode failed; nothing follows for the agent."""


class ModelFault(InstarError):
    """A model could not be reached, refused the request or timed out."""
