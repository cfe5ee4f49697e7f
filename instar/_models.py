"""From the name of a model to a client: pocket, a folder, a server by litellm, or a class.

A model in this process is loaded once and lazily; its adapters are switched by name on the one
base. Only a model with a folder of weights can be trained; somebody's own class says so by an
attribute ``folder``, and is then made with the folder of its adapter, or None.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from instar._config_layers import UNKNOWN
from instar.config import Model
from instar.contracts import ChatModel
from instar.errors import ConfigError, MissingExtra, UserError

if TYPE_CHECKING:
    from instar.llm_local import LocalEngine

__all__ = ["Models"]

_LOCAL = "local/"
_SCRIPT = "scripted:"


class Models:
    """The one model of a process, with any of its adapters.

    Args:
        settings: Which model, and how it is reached.
        outside: Whether it answers in an agent of somebody's own: its name is then a label, and what
            weights it has are not to be trained.
    """

    def __init__(self, settings: Model, outside: bool = False) -> None:
        self.settings, self._outside = settings, outside
        self._engine: LocalEngine | None = None
        self._remote: ChatModel | None = None

    @property
    def name(self) -> str:
        """As the configuration has it."""
        return self.settings.name

    @property
    def folder(self) -> Path | None:
        """Where the weights lie, None for a model that is reached over a wire."""
        return None if self._outside else self._weights

    @property
    def _weights(self) -> Path | None:
        if self.name == "pocket":
            from finetune.pocket import MODEL_DIR

            return MODEL_DIR
        if self.name.startswith(_LOCAL):
            return Path(self.name.removeprefix(_LOCAL).partition("@")[0]).expanduser()
        own = getattr(_own_class(self.name), "folder", None)
        return None if own is None else Path(own)

    def client(self, adapter: Path | None = None) -> ChatModel:
        """The model with an adapter, or as it is.

        Raises:
            UserError: The model does not exist, or takes no adapter.
        """
        if self.name == UNKNOWN:
            raise UserError(
                "Which model the agent of yours uses is not known, so it cannot be asked here. Name "
                "it, as in -o model.name=openai/gpt-5-mini, or another one: -o memory.model=..."
            )
        folder, own = self._weights, _own_class(self.name)
        if folder is not None and own is not None:
            made: ChatModel = own(adapter)
            return made
        if folder is not None:
            return self._local(folder).client(adapter or self._own_adapter())
        if self._remote is None:
            self._remote = self._connect()
        if adapter is not None:
            raise UserError(
                f"Model {self.name!r} runs elsewhere and cannot take adapter {adapter.name}; "
                "choose a local model, or measure the arms base and memory only."
            )
        return self._remote

    def require(self) -> None:
        """See that the model exists, before anything is done with it; weights are not loaded.

        Raises:
            UserError: It does not.
        """
        if not self._outside and _own_class(self.name) is None:
            self.client()

    def _own_adapter(self) -> Path | None:
        """The adapter that the name itself asks for, as in ``local/folder@adapter``."""
        named = self.name.partition("@")[2] if self.name.startswith(_LOCAL) else ""
        return Path(named).expanduser() if named else None

    def _local(self, folder: Path) -> LocalEngine:
        if self._engine is None:
            if not folder.is_dir():
                raise UserError(
                    f"No model in {folder}: give a folder, as in -o model.name=local/DIR"
                )
            try:
                from instar.llm_local import LocalEngine
            except ModuleNotFoundError as error:
                raise MissingExtra(str(error.name), "pip install 'instar[local]'") from error
            self._engine = LocalEngine(folder, self.device, self.settings.constrained)
        return self._engine

    @property
    def device(self) -> str | None:
        """Device that was asked for, None for the best there is."""
        return None if self.settings.device == "auto" else self.settings.device

    def _connect(self) -> ChatModel:
        from instar.llm import LiteLLM, Scripted

        if self.name.startswith(_SCRIPT):
            return Scripted.load(Path(self.name.removeprefix(_SCRIPT)), repeat=True)
        if self.name == "scripted":
            raise ConfigError("The scripted model needs its replies: scripted:FILE.jsonl")
        own = _own_class(self.name)
        if own is not None:
            made: ChatModel = own()
            return made
        return LiteLLM(self.name, self.settings.base_url, timeout=self.settings.timeout)

    async def close(self) -> None:
        """Let go of the weights, and of connections."""
        if self._engine is not None:
            await self._engine.close()
            self._engine = None
        close = getattr(self._remote, "close", None)
        if close is not None:
            await close()


def _own_class(name: str) -> type | None:
    """Somebody's own model by dotted path; None where the name is no path to a class."""
    module, _, attribute = name.rpartition(".")
    parts = name.split(".")
    if not module or not all(p.isidentifier() for p in parts):
        return None
    if importlib.util.find_spec(parts[0]) is None:
        return None
    found = getattr(importlib.import_module(module), attribute, None)
    if not isinstance(found, type):
        raise ConfigError(f"{name} is no class. Type package.module.Class")
    return found
