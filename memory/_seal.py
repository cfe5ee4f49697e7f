"""Whether the files of Chroma's graph are as they were left.

Chroma writes the graph in place, and hnswlib believes what it reads: of a graph whose writing was cut
short, or that is damaged, it finds a part, or the whole process dies of it. So what the files hold is
noted down after every writing, and a graph that does not fit the note is never read.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from memory._unwritten import blank_unwritten

__all__ = ["Seal"]

_CHUNK = 1 << 20


class Seal:
    """The note about the graph in a folder.

    Args:
        folder: Of the index; the graph lies two folders deeper.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._note = folder / "graph.json"
        self._seen: dict[str, tuple[int, int]] | None = None

    def holds(self) -> bool:
        """Whether the files are those that were noted down, or there are none; reads all of them."""
        files = self._files()
        if not files:
            return True
        try:
            noted = json.loads(self._note.read_text())
        except (OSError, ValueError):
            noted = {}
        if noted != {name: _checksum(path) for name, path in files.items()}:
            return False
        self._seen = _stamps(files)
        return True

    def renew(self) -> None:
        """Note down what the files hold, if they changed; Chroma writes once in a thousand entries.

        Before that, what they should not hold is taken out.

        Raises:
            OSError: It cannot be done.
        """
        files = self._files()
        stamps = _stamps(files)
        if stamps == self._seen:
            return
        for graph in {path.parent for path in files.values()}:
            blank_unwritten(graph)
        stamps = _stamps(files)
        fresh = self._note.with_suffix(".new")
        fresh.write_text(json.dumps({name: _checksum(path) for name, path in files.items()}))
        fresh.replace(self._note)
        self._seen = stamps

    def _files(self) -> dict[str, Path]:
        found = sorted(self._folder.glob("chroma-*/*/*"))
        return {str(path.relative_to(self._folder)): path for path in found if path.is_file()}


def _stamps(files: dict[str, Path]) -> dict[str, tuple[int, int]]:
    about = {name: path.stat() for name, path in files.items()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in about.items()}


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            checksum = zlib.crc32(part, checksum)
    return checksum
