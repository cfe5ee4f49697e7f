"""A server on loopback that takes adapters as vLLM does, with a real model behind it.

It has vLLM's routes, statuses and words (as of its releases of 2026): adapters are read from a path by
PEFT, and prompts of token ids are completed greedily by transformers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from finetune.train._model import quiet


class Refused(Exception):
    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        error = {"message": message, "type": kind, "param": None, "code": status}
        self.status, self.body = status, {"error": error}


class LoraServer:
    """The server's state, and how it behaves.

    Attributes:
        dynamic: Whether adapters can be loaded while it runs.
        enabled: Whether it was started for LoRA at all.
        max_rank: Highest rank it takes.
        deaf: Whether it answers as the base whatever adapter is asked for.
        key: What requests have to bring; None: nothing.
    """

    def __init__(self, base: Path) -> None:
        self.dynamic, self.enabled, self.deaf = True, True, False
        self.max_rank, self.key = 16, None
        self.paths: dict[str, str] = {}
        self.asked: list[str] = []
        self.url = ""
        self._base, self._model, self._tokenizer = base, None, None
        self._lock = Lock()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Any:
        self.asked.append(path)
        if (method, path) == ("GET", "/v1/models"):
            return {"object": "list", "data": self._cards()}
        if (method, path) == ("POST", "/v1/completions"):
            return self._complete(body)
        if self.dynamic and (method, path) == ("POST", "/v1/load_lora_adapter"):
            return self._load(body)
        if self.dynamic and (method, path) == ("POST", "/v1/unload_lora_adapter"):
            return self._unload(body)
        refused = Refused(404, "")
        refused.body = {"detail": "Not Found"}
        raise refused

    def _cards(self) -> list[dict[str, Any]]:
        base = {"id": "the-base", "object": "model", "root": str(self._base), "parent": None}
        loaded = [
            {"id": name, "object": "model", "root": path, "parent": "the-base"}
            for name, path in self.paths.items()
        ]
        return [base, *loaded]

    def _load(self, body: dict[str, Any]) -> str:
        name, path = body["lora_name"], body["lora_path"]
        if name in self.paths:
            raise Refused(400, f"The lora adapter '{name}' has already been loaded.")
        if not self.enabled:
            raise Refused(500, "LoRA is not enabled.", "InternalServerError")
        settings = Path(path) / "adapter_config.json"
        if not settings.exists():
            said = f"Loading lora {name} failed: No adapter found for {path}"
            raise Refused(404, said, "NotFoundError")
        rank = json.loads(settings.read_text())["r"]
        if rank > self.max_rank:
            said = f"LoRA rank {rank} is greater than max_lora_rank {self.max_rank}."
            raise Refused(500, said, "InternalServerError")
        self._peft(name, path)
        self.paths[name] = path
        return f"Success: LoRA adapter '{name}' added successfully."

    def _unload(self, body: dict[str, Any]) -> str:
        name = body["lora_name"]
        if name not in self.paths:
            raise Refused(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.paths[name]
        return f"Success: LoRA adapter '{name}' removed successfully."

    # The model

    def _peft(self, name: str, path: str) -> None:
        from peft import PeftModel

        model = self._loaded()
        with quiet():
            if isinstance(model, PeftModel):
                model.load_adapter(path, adapter_name=name)
            else:
                self._model = PeftModel.from_pretrained(model, path, adapter_name=name).eval()

    def _loaded(self) -> Any:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if self._model is None:
            with quiet():
                self._model = AutoModelForCausalLM.from_pretrained(self._base).float().eval()
                self._tokenizer = AutoTokenizer.from_pretrained(self._base)
        return self._model

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        import torch

        name, prompt = body["model"], body["prompt"]
        if name != "the-base" and name not in self.paths:
            raise Refused(404, f"The model `{name}` does not exist.", "NotFoundError")
        if body["temperature"] != 0:
            raise Refused(400, "this double is greedy")
        model, bare = self._loaded(), nullcontext()
        if name != "the-base" and not self.deaf:
            model.set_adapter(name)
        elif hasattr(model, "disable_adapter"):
            bare = model.disable_adapter()
        ids = torch.tensor([prompt])
        with bare, torch.no_grad():
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=body["max_tokens"],
                do_sample=False,
            )[0, len(prompt) :].tolist()
        ended = made[-1] == model.generation_config.eos_token_id
        skip = body.get("skip_special_tokens", True)
        text = self._tokenizer.decode(made[: -1 if ended else None], skip_special_tokens=skip)
        reason = "stop" if ended else "length"
        return {"model": name, "choices": [{"index": 0, "text": text, "finish_reason": reason}]}

    def locked(self, method: str, path: str, body: dict[str, Any], key: str | None) -> Any:
        if self.key is not None and key != f"Bearer {self.key}":
            refused = Refused(401, "")
            refused.body = {"error": "Unauthorized"}
            raise refused
        with self._lock:
            return self.answer(method, path, body)


@contextmanager
def lora_server(base: Path) -> Iterator[LoraServer]:
    """The server, in threads of this process, until the block ends."""
    one = LoraServer(base)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET", {})

        def do_POST(self) -> None:
            self._answer("POST", json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, method: str, body: dict[str, Any]) -> None:
            status = 200
            try:
                said = one.locked(method, self.path, body, self.headers.get("authorization"))
            except Refused as refused:
                status, said = refused.status, refused.body
            plain = isinstance(said, str)
            text = said if plain else json.dumps(said)
            self.send_response(status)
            self.send_header("content-type", "text/plain" if plain else "application/json")
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        one.url = f"http://127.0.0.1:{server.server_port}"
        yield one
        server.shutdown()
