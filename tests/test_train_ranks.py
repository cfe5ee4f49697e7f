"""Several processes that share a training take the same steps as one, and agree about its end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.timeout(600)
CASES = ("padded", "packed", "accumulated", "webrl", "dpo")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    pytest.importorskip("trl", reason="pip install 'instar[local]'")
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, ROOT / "tests" / "train_ranks.py", folder]
    places = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=places, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    [alone], shared = json.loads(done.stdout.splitlines()[-1])
    return alone, *shared


def weights(path):
    from safetensors.torch import load_file

    return load_file(Path(path) / "adapter_model.safetensors")


@pytest.mark.parametrize("case", CASES)
def test_two_processes_come_to_the_weights_of_one(found, case):
    one, first, second = (part[case] for part in found)
    assert first == second, "each process has the adapter that the first one has sealed"
    alone, shared = weights(one[1]), weights(first[1])
    largest = max(float(tensor.abs().max()) for tensor in alone.values())
    apart = max(float((alone[name] - shared[name]).abs().max()) for name in alone)
    assert alone.keys() == shared.keys() and apart < 1e-4 * largest
    for before, after in zip(one[2]["losses"], first[2]["losses"], strict=True):
        assert before == pytest.approx(after, abs=2e-5)
    assert (one[2]["processes"], first[2]["processes"]) == (1, 2)
    assert one[2]["tokens"] == first[2]["tokens"] and one[2]["steps"] == first[2]["steps"] == 4
    folder = Path(first[1]).parent
    assert [path.name for path in folder.iterdir()] == [first[0]]
    assert not (folder.parent / "training").exists()


def test_all_leave_when_the_first_is_asked_and_go_on_together(found):
    alone, *shared = found
    (asked, whole), (told, same) = (part["gone_on"] for part in shared)
    assert asked == ["Enough", "checkpoint-2"] and told == ["Stopped", "checkpoint-2"]
    assert whole == same and whole["steps_before"] == 2 and whole["steps"] == 4
    undisturbed = alone["accumulated"][2]["losses"]
    for before, after in zip(undisturbed, whole["losses"], strict=True):
        assert before == pytest.approx(after, abs=2e-5)


def test_time_is_what_the_first_has(found):
    _, first, second = (part.get("out_of_time") for part in found)
    assert first == second and 1 <= first["steps"] < 6
