"""What Chroma writes down of this process's memory without meaning to, taken out again.

The files of a graph have room for entries to come, and Chroma fills it with whatever lay in the memory
that it was given: a key, or the text of somebody who has just been redacted. Nothing ever reads it.
"""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path

__all__ = ["blank_unwritten"]

_LOG = logging.getLogger(__name__)
# The head of a graph by hnswlib as Chroma keeps it: version, offset of the lowest layer, how many
# entries there is room for, how many there are, bytes of each. The rest of it is of no interest here.
_HEAD = struct.Struct("<iQQQQ")
_VERSION = 1
_LENGTH = 4
_CHUNK = 1 << 20


def blank_unwritten(graph: Path) -> None:
    """Overwrite with zeros what lies behind the last entry of a graph.

    A graph of a form that is not known stays as it is, and a warning says so.

    Args:
        graph: The folder with its files; one without any is fine.

    Raises:
        OSError: They cannot be written.
    """
    try:
        head = (graph / "header.bin").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    data, lengths = graph / "data_level0.bin", graph / "length.bin"
    if len(head) >= _HEAD.size:
        version, _, room, entries, size = _HEAD.unpack_from(head)
        parts = {data: size, lengths: _LENGTH}
        if version == _VERSION and all(_fits(path, parts[path], entries, room) for path in parts):
            for path, each in parts.items():
                _blank(path, entries * each)
            return
    _LOG.warning("the graph in %s has a form in which its unused room cannot be blanked", graph)


def _fits(path: Path, each: int, entries: int, room: int) -> bool:
    """Whether a file has what it should: all entries, and room for no more than are told."""
    return path.exists() and entries * each <= path.stat().st_size <= room * each


def _blank(path: Path, since: int) -> None:
    """Zeros from an offset on; written only where something else is there."""
    with path.open("r+b") as file:
        file.seek(since)
        while part := file.read(_CHUNK):
            if part.count(0) < len(part):
                file.seek(-len(part), os.SEEK_CUR)
                file.write(bytes(len(part)))
