"""An adapter as a folder of its own, for others: PEFT's two files, the manifest, and a model card.

The card says what the adapter was made over, from what and how, and what was measured, so that the
folder explains itself without the workspace. The folder is written beside, checked against the
hashes of the manifest, and renamed into place.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finetune.registry import broken, sealed_files
from instar.errors import UserError
from instar.types import Adapter, Generation

__all__ = ["export", "model_card"]

_CARD = "README.md"
_LONGEST = 200
"""Characters of one value in the card; curves of a training are longer, and stand in the manifest."""


def export(
    adapter: Adapter, out: Path, base: str, generations: Sequence[Generation] = ()
) -> list[str]:
    """Write an adapter into a new folder, which `peft.PeftModel.from_pretrained` loads.

    Args:
        adapter: From `Registry.get`, with the folder that it lies in.
        out: The folder; it may exist if it is empty.
        base: Name of the base model, for people.
        generations: Those that serve it.

    Returns:
        The names of the files.

    Raises:
        UserError: The folder has something in it, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists already. Choose another folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.writing-", dir=out.parent))
        try:
            _write(adapter, beside, model_card(adapter, base, generations))
            beside.rename(out)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}.") from error
    return sorted(path.name for path in out.iterdir())


def _write(adapter: Adapter, folder: Path, card: str) -> None:
    folder.chmod(0o755)  # a temporary folder is its owner's alone
    for path in sealed_files(Path(adapter.path)):
        shutil.copyfile(path, folder / path.name)
    (folder / _CARD).write_text(card, encoding="utf-8")
    why = broken(folder)
    if why:
        raise UserError(f"Adapter {adapter.name} changed while it was copied: {why}.")


def model_card(adapter: Adapter, base: str, generations: Sequence[Generation] = ()) -> str:
    """What the folder says of itself, as Markdown with the head that model hubs read."""
    made = time.strftime("%Y-%m-%d", time.gmtime(adapter.created))
    facts = {
        "base": base,
        "base hash": adapter.base,
        "parent": adapter.parent or "none",
        "dataset hash": adapter.dataset,
        "made": made,
    }
    parts = [
        _head(base),
        f"# Adapter {adapter.name}\n",
        "A LoRA adapter in PEFT's format. Its name is a hash of its weights, its settings and what "
        "it came from. It fits the base of this hash only, which is made of the base's weights and "
        "`config.json`.\n",
        _table(facts),
        "## Use\n",
        _use(base),
        "## Recipe\n",
        _table(adapter.recipe),
        "## Metrics of the training\n",
        _table(adapter.metrics),
        *_served(generations),
    ]
    return "\n".join(parts)


def _head(base: str) -> str:
    # JSON is YAML: quoted, a name may hold anything.
    lines = [f"base_model: {json.dumps(base)}", "library_name: peft", "tags: [lora, instar]"]
    return "\n".join(["---", *lines, "---", ""])


def _use(base: str) -> str:
    code = [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        f"base = AutoModelForCausalLM.from_pretrained({base!r})  # or the folder of the base",
        'model = PeftModel.from_pretrained(base, "THIS FOLDER")',
    ]
    return "\n".join(["```python", *code, "```", ""])


def _table(facts: Mapping[str, Any]) -> str:
    if not facts:
        return "Nothing was written down.\n"
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items()]
    return "\n".join(["| | |", "|---|---|", *rows, ""])


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _LONGEST:
        text = f"{len(value)} entries, see instar.json" if isinstance(value, list | dict) else text
    return " ".join(text.replace("|", "\\|").split())


def _served(generations: Sequence[Generation]) -> list[str]:
    if not generations:
        return []
    verdicts = {
        g.id: f"{g.status.value}. {(g.verdict or {}).get('sentence', 'Not measured at a gate.')}"
        for g in generations
    }
    return ["## Generations that serve it\n", _table(verdicts)]
