"""A workspace as one file, and back.

The database is copied as SQLite copies itself, so that an evolution may go on meanwhile; adapters and
datasets never change once they are named in it, and are taken after it. The index is left out, for it
is made from the database. Every file stands in a manifest with its hash; a restore checks them all
before the folder appears.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from instar.errors import UserError, WorkspaceError

__all__ = ["backup", "restore"]

_DATABASE = "instar.db"
_MANIFEST = "instar-backup.json"
_KEPT = ("instar.toml", "STOP", "adapters", "datasets", "runs", "files")
_FORM = 1


def backup(workspace: Path, out: Path) -> dict[str, Any]:
    """Write a workspace into a new file.

    Returns:
        ``path``, ``files`` and ``bytes``.

    Raises:
        WorkspaceError: There is no workspace, or its database cannot be read.
        UserError: The file exists or cannot be written.
    """
    database = workspace / _DATABASE
    if not database.exists():
        raise WorkspaceError(f"There is no workspace at {workspace}. Name one: --workspace DIR")
    if out.exists():
        raise UserError(f"{out} exists already. Choose another file.")
    if not out.absolute().parent.is_dir():  # a disk that is not mounted must not be made up for
        raise UserError(f"There is no folder {out.parent}. Make it, or mount what belongs there.")
    beside = out.with_name(f".{out.name}.writing-{os.getpid()}")
    try:
        files = _write(workspace, database, beside)
        beside.replace(out)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        beside.unlink(missing_ok=True)
    return {"path": str(out), "files": files, "bytes": out.stat().st_size}


def _write(workspace: Path, database: Path, target: Path) -> int:
    hashes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as aside, tarfile.open(target, "w:gz") as archive:
        copy = Path(aside) / _DATABASE
        _copy(database, copy)
        for name, path in [(_DATABASE, copy), *_files(workspace)]:
            # A run may be writing its report: what is read once is hashed and kept.
            data = path.read_bytes()
            hashes[name] = hashlib.sha256(data).hexdigest()
            _put(archive, name, data)
        _put(archive, _MANIFEST, json.dumps({"form": _FORM, "files": hashes}).encode())
    return len(hashes)


def _copy(database: Path, copy: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            found = str(target.execute("PRAGMA quick_check").fetchone()[0])
            if found != "ok":
                raise sqlite3.DatabaseError(found)
    except sqlite3.DatabaseError as error:
        raise WorkspaceError(
            f"{database} cannot be read ({error}), so nothing was written: keep the backups that you have. See: instar doctor"
        ) from error


def _files(workspace: Path) -> Iterator[tuple[str, Path]]:
    for name in _KEPT:
        top = workspace / name
        found = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in found:
            at = path.relative_to(workspace)
            # Half-written adapters begin with a dot; other files that do are somebody's.
            half = name == "adapters" and any(part.startswith(".") for part in at.parts)
            if path.is_file() and not path.is_symlink() and not half:
                yield at.as_posix(), path


def _put(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def restore(archive: Path, workspace: Path) -> dict[str, Any]:
    """Make a workspace of a backup.

    Returns:
        ``workspace`` and ``files``.

    Raises:
        UserError: The file is no backup, or damaged, or the folder is not empty.
    """
    if workspace.exists() and (not workspace.is_dir() or any(workspace.iterdir())):
        raise UserError(f"{workspace} is not empty. Choose a new folder: --workspace DIR")
    workspace.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{workspace.name}.restoring-", dir=workspace.parent))
    try:
        files = _read(archive, beside)
        if workspace.exists():
            workspace.rmdir()
        beside.rename(workspace)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return {"workspace": str(workspace), "files": files}


def _extract(opened: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    """Write one file; a backup holds nothing else, and nothing outside of its folder.

    Raises:
        ValueError: It is no such file.
    """
    # Filters of tarfile came with Python 3.11.4, and Debian 12 has 3.11.2.
    at = PurePosixPath(entry.name)
    source = opened.extractfile(entry) if entry.isfile() else None
    if source is None or at.is_absolute() or ".." in at.parts:
        raise ValueError(f"{entry.name} is no file of a workspace")
    (folder / at).parent.mkdir(parents=True, exist_ok=True)
    with source, (folder / at).open("xb") as target:
        shutil.copyfileobj(source, target)


def _read(archive: Path, folder: Path) -> int:
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for entry in opened:
                _extract(opened, entry, folder)
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        hashes: dict[str, str] = manifest["files"]
        form = manifest["form"]
    except FileNotFoundError as error:
        what = (
            "does not exist" if not archive.exists() else "is no backup of a workspace, or damaged"
        )
        raise UserError(f"{archive} {what}. Make one: instar backup FILE") from error
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{archive} is no backup of a workspace, or damaged: {error}.") from error
    if form != _FORM:
        raise UserError(f"{archive} is a backup of form {form}; this Instar reads {_FORM}.")
    for name, wanted in hashes.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            raise UserError(f"{archive} is damaged: {name} is missing or was changed.")
    (folder / _MANIFEST).unlink()
    return len(hashes)
