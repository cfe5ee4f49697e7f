"""Nothing of the memory of the process lies in the files of an index, and nothing of the index is lost."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memory._unwritten import blank_unwritten
from memory.index import VectorIndex

SIZE = 8
# Adds so many entries one after the other, so that the graph is written twice and grows in between.
FILL = f"""
import sys
from pathlib import Path
import numpy as np
from memory.index import VectorIndex
index = VectorIndex.open(Path(sys.argv[1]))
index.sync({{}})
vectors = np.random.default_rng(0).normal(size=(int(sys.argv[2]), {SIZE}))
for first in range(0, len(vectors), 500):
    index.add({{f"e{{n}}": vectors[n] for n in range(first, min(first + 500, len(vectors)))}})
index.query(vectors[0], 1)
index.sync({{f"e{{n}}": v for n, v in enumerate(vectors)}})
index.close()
"""


def graph_in(folder: Path) -> Path:
    (found,) = folder.glob("chroma-*/*/header.bin")
    return found.parent


@pytest.mark.parametrize("entries", [3, 2500])
def test_the_room_for_entries_to_come_is_empty(tmp_path: Path, entries: int) -> None:
    dirty = os.environ | {"MALLOC_PERTURB_": "170"}  # glibc: memory that is handed out is full
    subprocess.run([sys.executable, "-c", FILL, tmp_path, str(entries)], env=dirty, check=True)
    graph = graph_in(tmp_path)
    _, _, room, written, size = struct.unpack_from("<iQQQQ", (graph / "header.bin").read_bytes())
    assert room > written == entries // 1000 * 1000
    data, lengths = (graph / "data_level0.bin").read_bytes(), (graph / "length.bin").read_bytes()
    assert len(data) >= written * size and not any(data[written * size :])
    assert len(lengths) >= written * 4 and not any(lengths[written * 4 :])

    again = VectorIndex.open(tmp_path)
    assert again is not None
    vectors = np.random.default_rng(0).normal(size=(entries, SIZE))
    again.sync({f"e{n}": v for n, v in enumerate(vectors)})
    assert graph_in(tmp_path) == graph, "it is read, not built anew"
    assert all(again.query(vectors[n], 1)[0][0] == f"e{n}" for n in range(0, entries, 97))
    again.close()


def test_a_graph_of_another_form_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blank_unwritten(tmp_path)
    assert not caplog.text
    (tmp_path / "header.bin").write_bytes(b"something newer" * 9)
    (tmp_path / "data_level0.bin").write_bytes(b"full")
    blank_unwritten(tmp_path)
    assert (tmp_path / "data_level0.bin").read_bytes() == b"full"
    assert "cannot be blanked" in caplog.text
