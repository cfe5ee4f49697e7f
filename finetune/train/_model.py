"""The base model around a training: where it runs, loading, saving, and proof of what moved."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.errors import InstarError, MissingExtra, UserError

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "Weights",
    "autocast",
    "go_on_from",
    "interpolate",
    "load",
    "memory_advice",
    "placement",
    "quiet",
    "save",
]


def placement(device: str, precision: str) -> tuple[str, str]:
    """Device and precision with ``auto`` resolved."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "No CUDA device was found: use the CPU (--device cpu, or -o methods.sft.device=cpu)."
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        able = torch.cuda.is_bf16_supported() if device == "cuda" else _cpu_has_bf16()
        precision = "bf16" if able else "fp32"
    return device, precision


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies in bf16; where it does not, bf16 is slower than fp32."""
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)  # not in every torch we allow
    found: dict[str, Any] = ask() if ask else {}
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def fast_type(device: str) -> torch.dtype:
    """The type in which a device multiplies fastest: bf16 where it has it, which saves memory too."""
    import torch

    return torch.bfloat16 if placement(device, "auto")[1] == "bf16" else torch.float32


def load(
    base: Path, device: str, precision: str, quantize: str = "no"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The frozen base and its tokenizer; on CUDA in bf16, on the CPU in fp32 (autocast is enough).

    Args:
        base: Its folder.
        device: ``cpu`` or ``cuda``.
        precision: ``bf16`` or ``fp32``.
        quantize: ``nf4`` for four bits a weight.

    Raises:
        MissingExtra: Four bits without bitsandbytes.
        UserError: Four bits without CUDA, or a folder without a model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if device == "cuda" and precision == "bf16" else torch.float32
    options: dict[str, Any] = {} if quantize == "no" else _four_bits(device, dtype)
    try:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, local_files_only=True, **options
        )
    except (OSError, ValueError) as error:
        raise UserError(f"No model that can be trained in {base}: {_first_line(error)}") from error
    return model, tokenizer


def _four_bits(device: str, dtype: Any) -> dict[str, Any]:
    import torch
    from transformers import BitsAndBytesConfig

    if device != "cuda":
        raise UserError("Four bits need CUDA: train with quantize=no, or on a machine with a GPU.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "pip install bitsandbytes")
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": torch.cuda.current_device()}}


def autocast(model: Any, precision: str) -> AbstractContextManager[Any]:
    """The arithmetic that the training will have, for what is asked of the model before it."""
    import torch

    return torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16")


def go_on_from(model: PreTrainedModel, parent: Path) -> PeftModel:
    """The base with the parent adapter on it, to be trained further."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(parent), is_trainable=True)


def interpolate(model: PeftModel, share: float) -> None:
    """Draw the adapter back to a share of its effect; a product of two matrices is linear in each."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(share)


def save(model: PeftModel, folder: Path, base_name: str) -> None:
    """Write the adapter, byte for byte the same for the same weights."""
    # PEFT's default asks the hub about the base; and it names the base by a path of this machine.
    for config in model.peft_config.values():
        config.base_model_name_or_path = base_name
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    # target_modules comes from a set, whose order changes from process to process.
    path = folder / "adapter_config.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    written["target_modules"] = sorted(written["target_modules"])
    path.write_text(json.dumps(written, indent=1, sort_keys=True), encoding="utf-8")


class Weights:
    """The weights before a training, to prove afterwards what it moved."""

    def __init__(self, model: Any) -> None:
        self._adapter = {n: p.detach().clone() for n, p in _parameters(model, trained=True)}
        self._base = {n: _checksum(p) for n, p in _parameters(model, trained=False)}

    def require_learnt(
        self, model: Any, remedy: str = "raise train.lr or train.minutes"
    ) -> dict[str, int]:
        """How many of the adapter's tensors moved.

        Args:
            model: After the training.
            remedy: What to do where nothing has moved.

        Raises:
            UserError: The training diverged or moved nothing.
            InstarError: The base is not what it was.
        """
        changed = [n for n, p in _parameters(model, trained=False) if _checksum(p) != self._base[n]]
        if changed:
            raise InstarError(f"Training changed the base model ({changed[0]}): nothing was kept.")
        after = dict(_parameters(model, trained=True))
        if not all(bool(p.isfinite().all()) for p in after.values()):
            raise UserError("The training diverged: lower the learning rate with -o train.lr=...")
        moved = sum(not p.equal(self._adapter[n]) for n, p in after.items())
        if not moved:
            raise UserError(f"The training moved nothing: {remedy}.")
        return {"adapter": moved, "of": len(after), "base": 0}


def _parameters(model: Any, trained: bool) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad is trained:
            yield name, parameter.detach()


def _checksum(tensor: torch.Tensor) -> int:
    import torch

    words = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
    bits = tensor.contiguous().view(words[tensor.element_size()])
    return int(bits.sum(dtype=torch.int64))


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and hints of transformers, and no warnings that its libraries give each other."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # PEFT reads a property that transformers has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            # TRL tells whoever plays in environments that their interface may change.
            warnings.filterwarnings("ignore", "You are using 'environment_factory'", UserWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def memory_advice(rows: int, tokens: int, trainer: str = "sft") -> Iterator[None]:
    """Turn running out of memory into advice.

    Args:
        rows: At a time.
        tokens: Of the longest.
        trainer: Id of the method whose settings may be lowered.

    Raises:
        UserError: Memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise UserError(
            f"Out of memory with {rows} rows of up to {tokens} tokens at a time: set "
            f"-o methods.{trainer}.micro={max(1, rows // 2)} (fewer rows at once, the same result), "
            f"methods.{trainer}.checkpointing=true, or a lower methods.{trainer}.max_length."
        ) from error


def _out_of_memory(error: Exception) -> bool:
    told = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in told or "allocate memory" in told


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
