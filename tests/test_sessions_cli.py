"""``instar sessions``: somebody who runs an agent of their own looks at what was recorded of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_from_sessions import place  # noqa: F401

from instar import cli
from instar.store import Store
from instar.types import MemoryKind, Recalled


def run(capsys, *more: str) -> str:
    """What the command says, on the workspace of the test."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["sessions", *more, "--workspace", "w"])
    told = capsys.readouterr()
    return told.out if not ended.value.code else f"{ended.value.code}: {told.err}"


def change(session: str, **fields: object) -> None:
    with Store.open(Path("w/instar.db")) as store:
        store.change_trajectory(session, lambda _: fields)


def all_of_them(capsys) -> list[dict]:
    return json.loads(run(capsys, "list", "--json"))["sessions"]


@pytest.mark.usefixtures("place")
def test_the_newest_stand_first_with_their_outcomes(capsys):
    lines = run(capsys, "list").splitlines()
    assert lines[0].split() == [
        "session", "began", "agent", "subject", "turns", "memories", "outcome", "task"
    ]  # fmt: skip
    assert [line.split()[-3:] for line in lines[1:]] == [
        ["close", "ticket", "9"],
        ["offer", "a", "bicycle"],
        ["cancel", "order", "5"],
        ["Refund", "order", "417"],
        ["refund", "order", "417"],
    ]
    assert [line.split()[6] for line in lines[1:]] == ["pass", "pass", "unknown", "fail", "pass"]


@pytest.mark.usefixtures("place")
def test_they_are_chosen_by_agent_subject_and_age_and_cut(capsys):
    assert len(json.loads(run(capsys, "list", "--agent", "support", "--json"))["sessions"]) == 4
    two = run(capsys, "list", "--agent", "support", "--limit", "2").splitlines()
    assert len(two) == 5 and two[-1] == "2 more: --limit 4"
    for none in (["--since", "7d"], ["--subject", "anna"]):
        assert "None of the 5 sessions" in run(capsys, "list", *none)
    assert run(capsys, "list", "--since", "soon").startswith("2: ")


@pytest.mark.usefixtures("place")
def test_a_session_is_told_turn_by_turn(capsys):
    last = all_of_them(capsys)[-1]["session"]
    page = run(capsys, "show", last[:12])
    assert "outcome     pass, says the user" in page and "No memory was recalled." in page
    assert 'turn 1 calls: refund "417"' in page and "  result: refunded" in page
    assert "turn 2: It is\n    done." in page
    assert json.loads(run(capsys, "show", last, "--json"))["steps"][1]["content"] == "It is\ndone."


@pytest.mark.usefixtures("place")
def test_memories_are_told_with_the_turn_from_which_they_were_shown(capsys):
    last = all_of_them(capsys)[-1]["session"]
    one = Recalled(
        item="m1", version=1, kind=MemoryKind.LESSON, label="M1", title="", when="a refund", content="look it up first",
        relevance=0.8, since=1, shown=True,
    )  # fmt: skip
    change(last, memories=(one,))
    assert "M1  shown from turn 2  m1  a refund -> look it up first" in run(capsys, "show", last)
    change(last, memories=(), arm="shadow")
    assert "In shadow: no memory was shown." in run(capsys, "show", last)


@pytest.mark.usefixtures("place")
def test_the_middle_of_a_long_text_is_left_out(capsys):
    last = all_of_them(capsys)[-1]["session"]
    with Store.open(Path("w/instar.db")) as store:
        step = store.trajectory(last).steps[-1]
    long = "\n".join(f"line {i}" for i in range(40))
    change(last, steps=(step.model_copy(update={"content": long}),))
    page = run(capsys, "show", last)
    assert "line 5\n    [28 lines; all of them: --json]\n    line 34" in page


@pytest.mark.usefixtures("place")
def test_mistakes_are_told_by_a_sentence(capsys):
    assert run(capsys, "show", "nothing").startswith("2: There is no session 'nothing'.")
    last = all_of_them(capsys)[-1]["session"]
    change(last, purpose="practise")
    assert f"instar memory why {last}" in run(capsys, "show", last)


def test_without_a_workspace_it_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "list").startswith("2: ") and not (tmp_path / "w").exists()
