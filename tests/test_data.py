"""``instar data export`` and ``check``, and what they count of rows."""

import hashlib
import json
import shutil
import subprocess

import pytest
from stores import generation
from test_curate import MEMORY, elsewhere, episode, step
from test_pairs import FAIL, LOST, WON
from test_train import TEMPLATE, model, row, tokenizer

from finetune.checking import check
from finetune.curate.base import RowSet
from finetune.curate.pairs import PreferencePairs
from finetune.curate.rft import RejectionSampling
from finetune.exporting import export
from instar import cli
from instar.errors import UserError
from instar.store import Store

ANEW = ["data", "export", "--out", "rows", "--curator", "rft"]
ORIGIN = {"models": ["pocket"], "judged by": ["environment"]}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The same model with a template that ends answers, and with one that does not."""
    made = {}
    for name, template in (("right", TEMPLATE), ("endless", TEMPLATE.replace("<|end|>", ""))):
        made[name] = tmp_path_factory.mktemp(name)
        model("llama").config.save_pretrained(made[name])
        tokenizer(template).save_pretrained(made[name])
    return made


@pytest.fixture
def instar(capsys, tmp_path, monkeypatch):
    """Run a command in a workspace; exit code, stdout, stderr."""
    monkeypatch.setenv("INSTAR_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str):
        with pytest.raises(SystemExit) as exited:
            cli.main(list(arguments))
        out, err = capsys.readouterr()
        return exited.value.code, out, err

    return run


@pytest.fixture
def curated(instar, tmp_path):
    """A workspace that practised and curated; its dataset."""
    home = "house_rules/0"
    lived = [
        episode("h0", namespace=home, memories=(MEMORY,), steps=[step(a="1", cited=("i1",))]),
        *(episode(f"h{k}", namespace=home) for k in (1, 2)),
        episode("bad", namespace=home, score=FAIL),
        elsewhere("a0", purpose="foreign"),
    ]
    lived += [
        t.model_copy(update={"task": t.task.model_copy(update={"namespace": home})})
        for t in (WON, LOST)
    ]
    instar("init")
    found = RejectionSampling(RejectionSampling.Config(home=home)).curate(lived)
    found.save(tmp_path / "ws" / "datasets" / found.hash)
    with Store.open(tmp_path / "ws" / "instar.db") as store:
        store.add_generation(generation("g0", status="active"))
        for one in lived:
            store.save_trajectory(one, stage="g1/practise_1")
        store.finish_stage("g1/curate", {"dataset": "older"})
        store.finish_stage("g2/curate", {"dataset": found.hash})
    return found


# Counting


def test_lengths_are_those_of_the_trainer_and_what_is_cut_is_named(bases):
    rows = [row(k) for k in range(8)]
    found = check(rows, bases["right"], limit=2048)
    assert (found.rows, found.answers, found.unended, found.drifted) == (8, 8, 0, 0)
    assert not found.problems and not found.cut and found.stops == ("<|end|>",)
    lengths = found.tokens
    assert 0 < found.learnt["shortest"] <= found.learnt["longest"] < lengths["shortest"]
    assert lengths["shortest"] < lengths["median"] < lengths["longest"]
    shorter = check(rows, bases["right"], limit=lengths["longest"] - 1)
    assert 0 < len(shorter.cut) < 8 and shorter.share_cut == len(shorter.cut) / 8
    assert "longer than" in shorter.problems[0] and f"rows {shorter.cut[0]}" in shorter.problems[0]
    assert (shorter.tokens, shorter.learnt) == (found.tokens, found.learnt)


def test_a_template_that_ends_no_answer_is_told(bases):
    rows = [row(k) for k in range(3)]
    found = check(rows, bases["endless"], limit=2048)
    assert (found.unended, found.answers) == (3, 3) and not found.problems
    assert found.tokens["longest"] == check(rows, bases["right"], 2048).tokens["longest"]


def test_an_answer_of_which_nothing_is_learnt_is_named(bases):
    mute = row(0) | {"completion": []}
    found = check([row(0), mute], bases["right"], limit=2048)
    assert found.masked == (1,)
    assert found.problems == ["1 of 2 rows (50 %) without anything to learn: rows 1"]


def test_both_answers_of_a_pair_are_counted_and_equal_ones_are_named(bases):
    rows = [row(0), row(1)]
    answers = [r["completion"] for r in rows]
    bare = {key: value for key, value in rows[0].items() if key != "completion"}
    pairs = [
        bare | {"chosen": answers[0], "rejected": answers[1]},
        bare | {"chosen": answers[0], "rejected": answers[0]},
    ]
    found = check([*pairs, pairs[0]], bases["right"], limit=2048)
    assert (found.form, found.rows, found.answers, found.repeated) == ("pairs", 3, 6, 1)
    assert found.alike == (1,) and "the same tokens" in found.problems[0]


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="No model that can be trained"):
        check([row(0)], tmp_path, 2048)


# Exporting


def test_an_export_reads_as_a_dataset_and_its_hashes_hold(tmp_path):
    datasets = pytest.importorskip("datasets")
    found = RejectionSampling().curate([episode("a"), episode("b", provider="p|q")])
    folder = export(found, tmp_path / "out", ORIGIN)
    assert RowSet.load(folder) == found
    table = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(table) == len(found.rows) and "completion" in table.column_names
    call = table[0]["completion"][0]["tool_calls"][0]["function"]
    assert json.loads(call["arguments"]) == {"a": "a"}
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stdout
    listed = (folder / "SHA256SUMS").read_text()
    data = (folder / "data/train-00000-of-00001.jsonl").read_bytes()
    assert f"{hashlib.sha256(data).hexdigest()}  data/train-00000-of-00001.jsonl" in listed
    assert [p.name for p in tmp_path.iterdir() if p.name[0] == "."] == []


def test_the_card_says_what_a_row_is_where_it_is_from_and_what_was_left_out(tmp_path):
    pairs = PreferencePairs().curate([WON, LOST, episode("b", provider="p|q")])
    card = (export(pairs, tmp_path / "out", ORIGIN) / "README.md").read_text()
    assert card.startswith("---\n") and pairs.hash in card
    assert "| `chosen` | the answer to be preferred |" in card and "completion" not in card
    assert "| models | pocket |" in card
    assert "| 1 | provider 'p\\|q' is not allowed: add it to methods.pairs.providers |" in card


def test_nothing_is_exported_of_nothing_or_over_something(tmp_path):
    empty = RejectionSampling().curate([episode("a", score=FAIL)])
    with pytest.raises(UserError, match="Nothing to train on: 1 x score fail"):
        export(empty, tmp_path / "out", ORIGIN)
    with pytest.raises(UserError, match="choose another: --out DIR"):
        export(RejectionSampling().curate([episode("a")]), tmp_path, ORIGIN)
    assert not list(tmp_path.iterdir())


# Commands


def test_the_dataset_curated_last_is_exported_and_checked(instar, curated, tmp_path):
    code, out, _ = instar("data", "export", "--out", "rows", "--json")
    told = json.loads(out)
    assert code == 0 and told["dataset"] == curated.hash and told["dropped"] == curated.dropped
    assert told["origin"]["providers"] == ["local"] and told["rows"] == len(curated.rows)
    for named in ([], [curated.hash[:5]], ["rows"], [curated.hash]):
        code, out, err = instar("data", "check", *named, "--json")
        found = json.loads(out)
        assert code == 0, (out, err)
        assert (found["dataset"], found["rows"]) == (curated.hash, len(curated.rows))
        assert found["problems"] == [] and found["memories"] == 2
    code, out, _ = instar("data", "check")
    assert code == 0 and "Nothing would be lost" in out and "stop tokens" in out
    (folder,) = tmp_path.glob(f"**/datasets/{curated.hash}")
    shutil.rmtree(folder)
    code, _, err = instar("data", "check")
    assert code == 2 and f"{curated.hash}, are gone" in err and "data export --curator" in err


def test_a_check_that_finds_something_says_so_and_fails(instar, curated):
    code, out, _ = instar("data", "check", "-o", "methods.sft.max_length=40")
    assert code == 1 and "longer than 40 tokens" in out
    code, out, _ = instar("data", "export", "--curator", "pairs", "--out", "pairs")
    assert code == 0 and out.startswith("1 pairs (")
    code, out, _ = instar("data", "check", "pairs", "--json")
    (problem,) = json.loads(out)["problems"]
    assert code == 1 and problem == "the rows are pairs, and trainer sft learns from answers"


def test_rows_that_somebody_edited_are_checked_and_the_change_is_told(instar, curated, tmp_path):
    assert instar("data", "export", "--out", "rows")[0] == 0
    (file,) = tmp_path.glob("**/rows/data/*.jsonl")
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[1:]))
    code, out, _ = instar("data", "check", "rows", "--json")
    found = json.loads(out)
    assert code == 1 and found["rows"] == len(curated.rows) - 1
    (problem,) = found["problems"]
    assert "changed since they were exported" in problem and curated.hash in problem
    file.write_text("".join([lines[0], "nonsense\n", *lines[1:]]))
    code, _, err = instar("data", "check", "rows")
    assert code != 0 and "line 2 of data/" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "export", "--out", "rows", "--curator", "rtf"], "Did you mean 'rft'"),
        ([*ANEW, "abc"], "not both"),
        (["data", "export", "--out", "ws"], "--out DIR"),
        (["data", "export"], "--out"),
        (["data", "check", "nothing"], "dataset 'nothing'"),
        (["data", "check", "--model", "openai/x"], "--model local/DIR"),
        (["data", "check", "ws"], "holds no training rows"),
        ([*ANEW, "-o", "methods.rft.providers=['p']"], "add it to methods.rft.providers"),
    ],
)
def test_mistakes_are_answered_in_a_line(instar, curated, arguments, says):
    code, out, err = instar(*arguments)
    assert code == 2 and says in err and not out
    assert "\n" not in err.strip() and "Traceback" not in err


def test_a_workspace_that_curated_nothing_says_how_to_begin(instar):
    code, _, err = instar("data", "check")
    assert code == 2 and "instar" in err
    instar("init")
    code, _, err = instar("data", "check")
    assert code == 2 and "instar evolve" in err and "--curator rft" in err


def test_a_folder_that_holds_no_rows_is_left_alone(instar, tmp_path):
    code, _, err = instar("data", "check", str(tmp_path))
    assert code == 2 and "holds no training rows" in err and "Delete" not in err
