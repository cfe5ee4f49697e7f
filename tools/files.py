"""Three tools for the files of one folder; nothing outside of it is read or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instar.errors import UserError
from instar.types import Result, ToolSpec
from tools.functions import FunctionToolset, ToolError, tool

__all__ = ["Files"]

_SHOWN_CHARACTERS = 20_000
_SHOWN_NAMES = 200


class Files:
    """Read, write and list the files of a folder.

    Args:
        root: An existing folder.

    Raises:
        UserError: ``root`` is no folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        if not self.root.is_dir():
            raise UserError(f"{root} is no folder; make it first: mkdir -p {root}")
        self._toolset = FunctionToolset([self.read_file, self.write_file, self.list_files])

    def tools(self) -> list[ToolSpec]:
        """The tools at hand."""
        return self._toolset.tools()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool; every mistake comes back as text."""
        return await self._toolset.call(name, arguments)

    @tool(effects=("read",))
    def read_file(self, path: str) -> str:
        """Read a text file.

        Args:
            path: Relative to the folder.
        """
        with self._inside(path) as file:
            text = file.read_text(encoding="utf-8", errors="replace")
        cut = len(text) - _SHOWN_CHARACTERS
        return text if cut <= 0 else f"{text[:_SHOWN_CHARACTERS]}\n... {cut} characters more"

    @tool(effects=("write",))
    def write_file(self, path: str, text: str) -> str:
        """Write a text file, replacing what was there.

        Args:
            path: Relative to the folder.
            text: The whole content.
        """
        with self._inside(path) as file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return f"{path} written, {len(text)} characters"

    @tool(effects=("read",))
    def list_files(self, path: str = ".") -> str:
        """List a folder; folders end with a slash.

        Args:
            path: Relative to the folder.
        """
        with self._inside(path) as folder:
            entries = sorted(folder.iterdir())
        names = [e.name + "/" * e.is_dir() for e in entries[:_SHOWN_NAMES]]
        more = [f"... {len(entries) - _SHOWN_NAMES} more"] * (len(entries) > _SHOWN_NAMES)
        return "\n".join([*names, *more]) or "empty"

    @contextmanager
    def _inside(self, path: str) -> Iterator[Path]:
        """The file that is meant; links are followed before it is judged."""
        file = (self.root / path).resolve()
        if not file.is_relative_to(self.root):
            raise ToolError(f"{path} is outside of the folder")
        try:
            yield file
        except OSError as error:
            raise ToolError(f"{path}: {error.strerror}") from error
