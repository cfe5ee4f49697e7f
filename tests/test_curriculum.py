import json
import random
from statistics import median

import pytest
from test_distill_model import Heard

from curriculum.checks import Admitted, Refused, check
from curriculum.propose.base import Context
from curriculum.propose.base import Contract as ProposerContract
from curriculum.propose.compose import Compose
from curriculum.propose.from_failures import FromFailures
from curriculum.propose.neighbours import Neighbours
from curriculum.select.band import Band
from curriculum.select.base import Contract as SelectorContract
from curriculum.select.base import Hint, Hinting, learnability, solve_rate
from curriculum.select.sec import Sec
from curriculum.select.uniform import Uniform
from instar.errors import ConfigError
from instar.llm import Scripted
from instar.types import Prompts, Score, Split, Status, StopReason, Task, TaskDraft, Trajectory

PASS, FAIL, UNKNOWN = (Score(status=s) for s in (Status.PASS, Status.FAIL, Status.UNKNOWN))
DIALS = {"distractors": (1, 4, 8), "large": (False, True), "door": ("tools", "web")}


def task(name, group="a", **more):
    given = {"world": "w", "namespace": "w/1", "family": "f", "instruction": f"do {name}"} | more
    return Task(id=name, group=group, **given)


def pool(groups=("a", "b", "c"), n=20, **more):
    return [task(f"{g}{i}", g, **more) for g in groups for i in range(n)]


def attempts(rates, rng, n=8, tasks=4):
    """Scored attempts and groups of some tasks a group, solved at the given rates."""
    scores = {
        f"{g}{i}": [PASS if rng.random() < p else FAIL for _ in range(n)]
        for g, p in rates.items()
        for i in range(tasks)
    }
    return scores, {t: t[0] for t in scores}


def trajectory(of, status=Status.FAIL, purpose="practise"):
    return Trajectory(
        id=f"x-{of.id}-{status}",
        task=of,
        seed=0,
        generation="g0",
        model="m",
        provider="p",
        purpose=purpose,
        prompts=Prompts(name="n", system="s"),
        stop=StopReason.FINISHED,
        score=Score(status=status),
    )


def test_learnability_peaks_at_one_half():
    assert learnability(0.5) == 1
    assert learnability(0) == learnability(1) == 0
    assert learnability(0.25) == pytest.approx(0.866, abs=1e-3)


def test_unknown_is_no_rate():
    assert solve_rate([PASS, FAIL, UNKNOWN]) == 0.5
    assert solve_rate([PASS, UNKNOWN]) is None


@pytest.mark.parametrize("make", [Band, Sec, Uniform])
def test_selection_has_no_repetition_and_takes_what_there_is(make):
    selector = make()
    assert isinstance(selector, SelectorContract)
    chosen = selector.select(pool(), 25, random.Random(1))
    assert len({t.id for t in chosen}) == 25
    assert len(selector.select(pool(n=2), 25, random.Random(1))) == 6
    assert selector.select([], 3, random.Random(1)) == []
    assert chosen == selector.select(pool(), 25, random.Random(1))


@pytest.mark.parametrize("make", [Band, Sec, Uniform])
def test_one_attempt_is_a_configuration_error(make):
    with pytest.raises(ConfigError, match=r"practise\.attempts"):
        make().update({"a1": [PASS]}, {"a1": "a"})


def test_the_update_is_the_formula():
    sec = Sec()
    sec.update({"a1": [PASS, FAIL], "a2": [PASS, PASS]}, {"a1": "a", "a2": "a"})
    assert sec.value("a") == pytest.approx(1 + 0.3 * (0.5 - 1))
    assert sec.value("b") == 1


def test_unknown_attempts_move_nothing():
    sec = Sec()
    sec.update({"a1": [UNKNOWN, UNKNOWN], "a2": [PASS, UNKNOWN]}, {"a1": "a", "a2": "a"})
    assert sec.state_dict() == {"values": {}, "tried": {}}


def test_every_group_keeps_its_floor():
    sec = Sec()
    for _ in range(60):
        sec.update(*attempts({"a": 0.5, "b": 0.0, "c": 1.0}, random.Random(1)))
    shares = sec.probabilities(["a", "b", "c"])
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["b"] >= 0.03
    assert shares["c"] >= 0.03
    assert shares["a"] > 0.85
    many = sec.probabilities([f"g{i}" for i in range(100)])
    assert all(p == pytest.approx(0.01) for p in many.values())


def simulate(seed):
    """Three groups at 2, 50 and 98 %; then the middle one and the first change places."""
    rng = random.Random(seed)
    sec, tasks = Sec(Sec.Config(anchors=0)), pool()
    rates = {"a": 0.02, "b": 0.5, "c": 0.98}

    def turn():
        chosen = sec.select(tasks, 4, rng)
        scores = {
            t.id: [PASS if rng.random() < rates[t.group] else FAIL for _ in "12345678"]
            for t in chosen
        }
        sec.update(scores, {t.id: t.group for t in chosen})

    for _ in range(30):
        turn()
    led = max("abc", key=sec.value) == "b"
    rates |= {"a": 0.5, "b": 0.02}
    for n in range(1, 60):
        turn()
        if max("abc", key=sec.value) == "a":
            return led, n
    return led, 60


def test_the_group_that_can_be_learnt_leads_and_the_lead_follows_a_change():
    results = [simulate(seed) for seed in range(40)]
    assert all(led for led, _ in results)
    assert median(n for _, n in results) <= 8
    assert max(n for _, n in results) < 60


def rated(rates, config=None, n=8):
    """A band that has seen one round at exactly these rates."""
    band = Band(config)
    scores = {g: [PASS if i < round(p * n) else FAIL for i in range(n)] for g, p in rates.items()}
    band.update(scores, {g: g for g in rates})
    return band


def test_the_frontier_shares_the_batch_and_the_rest_keeps_its_floor():
    band = rated({"a": 0.5, "b": 0.0, "c": 1.0, "d": 0.25})
    assert isinstance(band, Hinting)
    assert band.hints() == {"b": Hint.SIMPLIFY, "c": Hint.DIVERSIFY}
    shares = band.probabilities(["a", "b", "c", "d"])
    assert shares["b"] == shares["c"] == pytest.approx(0.03)
    assert shares["a"] == shares["d"] == pytest.approx(0.47)
    assert band.probabilities(["a", "b", "new"])["new"] == pytest.approx(0.485)


def test_without_a_frontier_the_nearest_group_leads():
    shares = rated({"a": 0.0, "c": 0.875}).probabilities(["a", "c"])
    assert shares == pytest.approx({"a": 0.03, "c": 0.97})


def test_what_was_seen_of_earlier_agents_fades_until_nothing_is_known():
    band = rated({"a": 0.0, "b": 1.0}, n=4)
    for _ in range(3):
        band.update({"b": [PASS, FAIL]}, {"b": "b"})
    assert band.rate("a") is None and band.hints() == {}
    assert 0.5 < band.rate("b") < 0.8
    before = band.state_dict()
    band.update({"a": [UNKNOWN, UNKNOWN]}, {"a": "a"})
    assert band.state_dict() == before


def test_a_window_upside_down_is_refused():
    with pytest.raises(ValueError, match="above high"):
        Band.Config(low=0.7, high=0.3)


def test_a_group_that_is_no_longer_practised_comes_back_into_question():
    sec = Sec()
    for _ in range(8):
        sec.update({"a1": [PASS, PASS], "b1": [PASS, FAIL]}, {"a1": "a", "b1": "b"})
    low = sec.value("a")
    for _ in range(20):
        sec.update({"b1": [PASS, FAIL]}, {"b1": "b"})
    assert low < 0.1 and sec.value("a") > 0.85
    kept = sec.value("a")
    sec.update({"b1": [UNKNOWN, UNKNOWN]}, {"b1": "b"})
    assert sec.value("a") == kept


@pytest.mark.parametrize("make", [Sec, Band])
def test_saved_and_loaded_in_the_middle_it_draws_the_same(make):
    rng = random.Random(3)
    one = make()
    for _ in range(3):
        one.update(*attempts({"a": 0.5, "b": 0.1, "c": 0.9}, rng))
    two = make()
    two.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for turn in range(4):
        drawn = [s.select(pool(), 9, random.Random(turn)) for s in (one, two)]
        assert drawn[0] == drawn[1]
        scores = attempts({"a": 0.4, "b": 0.2}, random.Random(turn))
        one.update(*scores)
        two.update(*scores)
    assert one.state_dict() == two.state_dict()


@pytest.mark.parametrize("make", [Band, Sec, Uniform])
def test_a_share_of_the_batch_is_the_worlds_own(make):
    own = pool(("a",), 30)
    proposed = [task(f"p{i}", "p", origin="neighbours") for i in range(300)]
    selector = make()
    selector.update({"a1": [PASS] * 4, "p1": [PASS, FAIL]}, {"a1": "a", "p1": "p"})
    for seed in range(5):
        chosen = selector.select([*own, *proposed], 20, random.Random(seed))
        assert sum(t.origin == "world" for t in chosen) >= 10


HARD = task("t1", params={"distractors": 4, "large": True, "door": "tools", "ids": ["417"]})


def propose(*failures, n=9, config=None, recent=(), seed=0, content=("ids",), proposer=None):
    context = Context(failures=failures, recent=recent, dials=DIALS, content=content)
    proposer = proposer or Neighbours(config)
    return proposer.propose(context, n, random.Random(seed))


def test_neighbours_turn_one_dial_by_one_notch_easier_first():
    drafts = propose(trajectory(HARD))
    assert isinstance(Neighbours(), ProposerContract)
    base = {"distractors": 4, "large": True, "door": "tools"}
    assert [d.params for d in drafts] == [
        base | {"distractors": 1},
        base | {"large": False},
        base | {"distractors": 8},
        base | {"door": "web"},
    ]
    assert {d.parents for d in drafts} == {("t1",)}
    assert "easier" in drafts[0].reason


def test_all_easier_ones_come_before_any_harder_one():
    other = task("t2", params={"distractors": 8, "large": False, "door": "web"})
    drafts = propose(trajectory(HARD), trajectory(other))
    words = ["easier" in d.reason for d in drafts]
    assert words == sorted(words, reverse=True)
    assert {d.parents[0] for d in drafts[:3]} == {"t1", "t2"}
    assert len(propose(trajectory(HARD), n=2)) == 2
    assert len(propose(trajectory(HARD), config=Neighbours.Config(harder=False))) == 2


def test_only_failures_of_known_score_and_known_dials_count():
    assert propose(trajectory(HARD, Status.PASS), trajectory(HARD, Status.UNKNOWN)) == []
    assert propose(trajectory(task("t3", params={"colour": 3}))) == []
    assert propose(trajectory(task("t4", params={"distractors": 5, "large": 1}))) == []
    config = Neighbours.Config(dials={"colour": (2, 3)})
    assert propose(trajectory(task("t3", params={"colour": 3})), config=config)[0].params == {
        "colour": 2
    }


def test_what_was_drafted_or_practised_is_not_drafted_again():
    proposer = Neighbours()
    first = propose(trajectory(HARD), n=2, proposer=proposer)
    again = Neighbours()
    again.load_state_dict(json.loads(json.dumps(proposer.state_dict())))
    rest = [propose(trajectory(HARD), proposer=p) for p in (proposer, again)]
    assert rest[0] == rest[1]
    assert not {json.dumps(d.params) for d in rest[0]} & {json.dumps(d.params) for d in first}
    recent = [task("t9", params=dict(first[0].params))]
    assert first[0].params not in [d.params for d in propose(trajectory(HARD), recent=recent)]


def test_hints_say_whose_neighbours_are_easier_and_whose_are_harder():
    easy = task("t5", "easy", params={"distractors": 1, "large": False, "door": "tools"})
    context = Context(
        failures=[trajectory(HARD)],
        successes=[trajectory(easy, Status.PASS)],
        dials=DIALS,
        hints={"a": Hint.SIMPLIFY, "easy": Hint.DIVERSIFY},
    )
    drafts = Neighbours().propose(context, 9, random.Random(0))
    words = [(d.parents[0], d.reason.split(", ")[1].split()[0]) for d in drafts]
    assert words[:2] == [("t1", "easier")] * 2
    assert set(words[2:]) == {("t5", "harder")}
    assert {"distractors": 8, "large": False, "door": "tools"} in [d.params for d in drafts]


def join(first, second):
    if first.params.get("door") != second.params.get("door"):
        raise ValueError("the parts differ in door")
    return TaskDraft(world="w", family="both", params={"parts": [first.id, second.id]})


def test_solved_tasks_that_fit_are_joined_once_other_groups_first():
    solved = [
        task(f"{g}{i}", g, params={"door": d})
        for g, i, d in [("a", 1, "tools"), ("a", 2, "tools"), ("b", 1, "tools"), ("c", 1, "web")]
    ]
    failed = trajectory(task("d1", "d", params={"door": "tools"}))
    context = Context(
        failures=[failed], successes=[trajectory(t, Status.PASS) for t in solved], join=join
    )
    proposer = Compose()
    drafts = proposer.propose(context, 2, random.Random(0))
    pairs = [set(d.parents) for d in drafts]
    assert {"a1", "b1"} in pairs and {"a2", "b1"} in pairs
    again = Compose()
    again.load_state_dict(json.loads(json.dumps(proposer.state_dict())))
    rest = again.propose(context, 9, random.Random(0))
    assert [set(d.parents) for d in rest] == [{"a1", "a2"}]
    assert proposer.propose(Context(successes=context.successes), 9, random.Random(0)) == []


async def test_a_model_is_shown_failures_and_what_it_may_turn():
    proposer = FromFailures()
    said = 'Easier first.\n```json\n[{"family": "f", "params": {"distractors": 1}}]\n```'
    model = Heard(said)
    context = Context(failures=[trajectory(HARD)], dials=DIALS)
    (found,) = await proposer.propose_with(model, context, 1, random.Random(0))
    assert (found.family, found.params, found.parents) == ("f", {"distractors": 1}, ("t1",))
    (asked,) = model.asked
    assert "do t1" in asked and "- distractors: [1, 4, 8]" in asked
    assert "417" not in asked


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("no list", "not one fenced list at the end"),
        ('```json\n[{"params": {}}]\n```', "not tasks of the form"),
        ('```json\n[{"family": "f", "params": {"ids": ["1"]}}]\n```', "not tasks of the form"),
        ('```json\n[{"family": "f"}, {"family": "f"}]\n```', "more tasks than asked for"),
    ],
)
async def test_an_answer_of_another_form_is_dropped_and_counted(said, why):
    proposer = FromFailures()
    context = Context(failures=[trajectory(HARD)], dials=DIALS)
    model = Scripted([said], repeat=True)
    assert await proposer.propose_with(model, context, 1, random.Random(0)) == []
    assert proposer.state_dict()["answers"]["refused"] == {why: 1}


@pytest.mark.parametrize("split", [Split.GATE, Split.HELD_OUT])
@pytest.mark.parametrize("where", ["failures", "successes"])
def test_gate_and_held_out_tasks_are_refused(split, where):
    bad = trajectory(HARD.model_copy(update={"split": split}))
    with pytest.raises(ValueError, match="practise tasks only"):
        Neighbours().propose(Context(dials=DIALS, **{where: [bad]}), 3, random.Random(0))


@pytest.mark.parametrize("purpose", ["gate", "report"])
def test_episodes_that_measured_are_refused(purpose):
    with pytest.raises(ValueError, match="practise tasks only"):
        propose(trajectory(HARD, purpose=purpose))


def draft(**params):
    return TaskDraft(world="w", family="f", params=params, parents=("t1",), proposer="neighbours")


def make(given):
    split = Split.HELD_OUT if given.params.get("n") == 13 else Split.PRACTISE
    if given.params.get("n", 0) < 0:
        raise ValueError("n must not\nbe negative")
    name = f"w-{given.params.get('n')}"
    text = given.params.get("text", f"do it with {name}")
    return task(name, params=given.params, split=split, instruction=text)


def test_a_good_draft_is_admitted_with_its_lineage():
    verdict = check(draft(n=1), make, [HARD])
    assert isinstance(verdict, Admitted)
    assert (verdict.task.origin, verdict.task.parents) == ("neighbours", ("t1",))


KNOWN = [
    HARD,
    task("w-5", params={"n": 5}),
    task("other", params={"n": 6, "text": "x"}),
    task("kept", params={"n": 99}, split=Split.GATE, instruction="do the gate"),
    task("house2", params={"n": 7}, namespace="w/2"),
]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (draft(n=1).model_copy(update={"proposer": ""}), "no proposer"),
        (draft(n=1).model_copy(update={"parents": ("nobody",)}), "nobody is not known"),
        (draft(n=1).model_copy(update={"parents": ("kept",)}), "kept is a gate task"),
        (draft(n=-1), "cannot make it: n must not be negative"),
        (draft(n=1).model_copy(update={"world": "v"}), "world w, the draft of v"),
        (draft(n=13), "falls into the held_out tasks"),
        (draft(n=1, text=" "), "empty"),
        (draft(n=1, text="x" * 3000), "longer than"),
        (draft(n=5), "is task w-5"),
        (draft(n=6, text="x"), "repeats task other"),
        (draft(n=1, text="do the gate"), "asks the same as the gate task kept"),
    ],
)
def test_a_bad_draft_is_refused_with_the_reason(given, words):
    verdict = check(given, make, KNOWN)
    assert isinstance(verdict, Refused)
    assert words in verdict.reason


def test_another_house_is_no_repetition():
    assert isinstance(check(draft(n=7), make, KNOWN), Admitted)


def test_words_decide_where_no_parameters_do():
    known = [HARD.model_copy(update={"params": {}}), task("k", instruction="find the red shoe now")]
    near = "find the red shoe right now"

    def free(text):
        return check(draft(), lambda d: task("new", instruction=text), known)

    assert isinstance(free(near), Refused)
    assert isinstance(free("sum up the second page"), Admitted)
