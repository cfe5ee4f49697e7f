"""Several LoRA adapters over one base as one adapter, exactly.

A LoRA adds ``s B A`` to a weight, with ``s = alpha / r``, or ``alpha / sqrt(r)`` where it is
rank-stabilised. A weighted sum of such products is one product again: the ``A`` of all stacked by
rows, the ``B`` by columns, each ``B`` times its scale and its weight. So nothing is approximated,
and the rank is the sum of the ranks; layers of lower rank are filled up with zeros, which keeps
one rank and one scale for all and lets servers that read no patterns load it. The composed weights
are what PSEC (Liu et al. 2025) mixes its skills by, here with fixed weights.

Refused is what is no such sum: DoRA, biases, whole trained layers, starts that change the base.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.registry import seal, workspace_beside
from instar.errors import MissingExtra, UserError
from instar.types import Adapter, content_hash

if TYPE_CHECKING:
    import torch

    Layer = tuple[torch.Tensor, torch.Tensor]

__all__ = ["compose"]

_WEIGHT = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight")
_PREFIX = "base_model.model."
_UNLIKE = {
    "use_dora": "DoRA, whose effect is no sum",
    "modules_to_save": "whole layers that were trained",
    "lora_bias": "biases that were trained",
    "layer_replication": "layers that were doubled",
    "target_parameters": "parameters outside of layers",
    "trainable_token_indices": "embeddings that were trained",
    "alora_invocation_tokens": "an adapter that works for a part of the prompt",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "monteclora_config": "MonteCLoRA",
}
"""Settings of PEFT under which an adapter is more, or other, than a product of two matrices."""
_STARTS = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Starts that subtract from the base what the adapter begins with."""


class _Part:
    """One adapter: its settings, and per layer its matrices with the scale in the second."""

    def __init__(self, adapter: Adapter, weight: float) -> None:
        self.name, folder = adapter.name, Path(adapter.path)
        text = (folder / "adapter_config.json").read_text(encoding="utf-8")
        self.config: dict[str, Any] = json.loads(text)
        self._refuse()
        found: dict[str, dict[str, torch.Tensor]] = {}
        for key, tensor in _tensors(folder / "adapter_model.safetensors").items():
            layer = _WEIGHT.fullmatch(key)
            if layer is None:
                raise UserError(f"Adapter {self.name} cannot be combined: it holds {key}.")
            found.setdefault(layer.group(1), {})[layer.group(2)] = tensor.float()
        for name, pair in found.items():
            if len(pair) < 2:
                raise UserError(f"Adapter {self.name} has half of its layer {name} only.")
        self.layers: dict[str, Layer] = {
            name: (pair["A"], weight * self._scale(name, len(pair["A"])) * pair["B"])
            for name, pair in found.items()
        }

    def _refuse(self) -> None:
        kind = self.config.get("peft_type")
        why = [told for name, told in _UNLIKE.items() if self.config.get(name)]
        if kind != "LORA":
            why.append(f"the kind {kind}, not LORA")
        if self.config.get("bias", "none") != "none":
            why.append("biases that were trained")
        if str(self.config.get("init_lora_weights")).lower().startswith(_STARTS):
            why.append(f"a start that changed the base ({self.config['init_lora_weights']})")
        if why:
            raise UserError(f"Adapter {self.name} cannot be combined: it has {'; '.join(why)}.")

    def _scale(self, layer: str, rank: int) -> float:
        alpha = _by_pattern(self.config.get("alpha_pattern"), layer, self.config["lora_alpha"])
        return float(alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank))


def _by_pattern(patterns: dict[str, Any] | None, layer: str, default: Any) -> Any:
    """A setting of one layer, as PEFT looks it up: by the end of its name."""
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", layer):
            return value
    return default


def compose(adapters: Sequence[Adapter], weights: Sequence[float], out: Path) -> Adapter:
    """Write the adapter whose effect is the weighted sum of the effects of others.

    Args:
        adapters: From `Registry.get`, at least two.
        weights: One an adapter.
        out: The folder ``adapters``.

    Returns:
        The sealed adapter; its parent is the first, and its recipe names all.

    Raises:
        UserError: They are of different bases, or one is no plain LoRA.
    """
    _check(adapters, weights)
    parts = [_Part(a, w) for a, w in zip(adapters, weights, strict=True)]
    _same_orientation(parts)
    layers = _sums(parts)
    rank = max(len(a) for a, _ in layers.values())
    written = workspace_beside(out)
    try:
        _write(written, {name: _filled(pair, rank) for name, pair in layers.items()})
        settings = _settings(parts, layers, rank)
        text = json.dumps(settings, indent=1, sort_keys=True)
        (written / "adapter_config.json").write_text(text, encoding="utf-8")
        mixed = {a.name: w for a, w in zip(adapters, weights, strict=True)}
        return seal(
            written,
            out,
            base=adapters[0].base,
            parent=adapters[0].name,
            dataset=content_hash(sorted(a.dataset for a in adapters)),
            recipe={"trainer": "compose", "parts": mixed, "rank": rank},
            metrics={"layers": len(layers)},
        )
    finally:
        shutil.rmtree(written, ignore_errors=True)


def _check(adapters: Sequence[Adapter], weights: Sequence[float]) -> None:
    if len({a.name for a in adapters}) < max(2, len(adapters)):
        raise UserError("Name at least two different adapters. See: instar adapters list")
    if len(weights) != len(adapters):
        raise UserError(f"{len(adapters)} adapters need as many weights, not {len(weights)}.")
    if not all(math.isfinite(w) for w in weights):
        raise UserError("Weights are numbers, as in --weights 0.7,0.3")
    if not any(weights):
        raise UserError(
            "With every weight 0 the adapter would do nothing: give one another weight."
        )
    for other in adapters[1:]:
        if other.base != adapters[0].base:
            raise UserError(
                f"Adapter {other.name} was trained over base {other.base}, and {adapters[0].name} "
                f"over {adapters[0].base}: only adapters over one base can be combined."
            )


def _same_orientation(parts: Sequence[_Part]) -> None:
    if len({bool(p.config.get("fan_in_fan_out")) for p in parts}) > 1:
        raise UserError("These adapters store their weights in different orientations.")


def _sums(parts: Sequence[_Part]) -> dict[str, Layer]:
    import torch

    found: dict[str, Layer] = {}
    for name in sorted({name for part in parts for name in part.layers}):
        pairs = [part.layers[name] for part in parts if name in part.layers]
        found[name] = (torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs], dim=1))
    return found


def _filled(pair: Layer, rank: int) -> Layer:
    """The same product at a higher rank."""
    a, b = pair
    missing = rank - len(a)
    rows = a.new_zeros(missing, *a.shape[1:])
    columns = b.new_zeros(len(b), missing, *b.shape[2:])
    return _cat(a, rows, 0), _cat(b, columns, 1)


def _cat(one: torch.Tensor, other: torch.Tensor, dim: int) -> torch.Tensor:
    import torch

    return torch.cat([one, other], dim=dim).contiguous()


def _settings(parts: Sequence[_Part], layers: Iterable[str], rank: int) -> dict[str, Any]:
    first = parts[0].config
    return {
        "peft_type": "LORA",
        "task_type": first.get("task_type"),
        "base_model_name_or_path": first.get("base_model_name_or_path"),
        "fan_in_fan_out": first.get("fan_in_fan_out", False),
        "bias": "none",
        "inference_mode": True,
        "lora_dropout": 0.0,
        "r": rank,
        "lora_alpha": rank,  # the scales are in the weights
        "target_modules": _targets(parts, layers),
    }


def _targets(parts: Sequence[_Part], layers: Iterable[str]) -> list[str]:
    """Ends of names where all adapters go by them alone, else every layer by its whole name."""
    limits = ("layers_to_transform", "exclude_modules")
    listed = [p.config["target_modules"] for p in parts]
    if all(isinstance(t, list) for t in listed) and not any(
        p.config.get(limit) for p in parts for limit in limits
    ):
        return sorted({name for names in listed for name in names})
    return sorted(layers)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("safetensors", "pip install 'instar[local]'") from error
    found: dict[str, torch.Tensor] = load_file(path)
    return found


def _write(folder: Path, layers: dict[str, Layer]) -> None:
    from safetensors.torch import save_file

    tensors = {
        f"{_PREFIX}{name}.lora_{side}.weight": tensor
        for name, pair in layers.items()
        for side, tensor in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
