import asyncio
import json
import socket
import subprocess
import sys

import pytest
from aiohttp import web

from instar._toolparse import RAW
from instar.cli import _run
from instar.contracts import ChatModel
from instar.errors import ConfigError, ModelFault, UserError
from instar.llm import LiteLLM, Scripted
from instar.types import Reply, Sampling, ToolSpec

TOOL = ToolSpec(
    name="look",
    parameters={"type": "object", "properties": {"record": {"type": "string"}}},
)
ASK = [{"role": "system", "content": "policy"}, {"role": "user", "content": "task: look"}]


def completion(content=None, calls=(), **more):
    tool_calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": n, "arguments": a}}
        for i, (n, a) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": content}
    message |= {"tool_calls": tool_calls} if tool_calls else {}
    finish = "tool_calls" if tool_calls else "stop"
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "served",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34},
    } | more


class Server:
    """An endpoint in OpenAI's format that gives prepared answers and keeps what it was asked."""

    def __init__(self):
        self.answers = []
        self.requests = []
        self.headers = []
        self.url = ""
        self.model = "served"

    async def chat(self, request):
        self.requests.append(await request.json())
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = completion("late")
        if isinstance(answer, str):
            return web.Response(text=answer, content_type="text/html")
        if isinstance(answer, tuple):
            status, headers = answer
            body = {"error": {"message": f"status {status}", "code": "c"}}
            return web.json_response(body, status=status, headers=headers)
        return web.json_response(answer)


@pytest.fixture(params=["served", "hosted_vllm/served"], ids=["directly", "through litellm"])
async def server(request):
    one = Server()
    one.model = request.param
    app = web.Application()
    app.router.add_post("/v1/chat/completions", one.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=0.1)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield one
    await runner.cleanup()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def client(server, waits=None, **more):
    async def sleep(seconds):
        waits.append(seconds)

    more = {"sleep": sleep} | more if waits is not None else more
    return LiteLLM(server.model, server.url, **more)


async def ask(model, tools=(TOOL,), **sampling):
    return await model.complete(ASK, tools, Sampling(**sampling))


async def test_a_call_comes_back_decoded_with_usage(server):
    server.answers = [completion("m [m1]", [("look", '{"record": "417"}')])]
    model = client(server)
    reply = await ask(model, temperature=0.5, top_p=0.9, max_tokens=7, seed=5)
    assert isinstance(model, ChatModel)
    assert [(c.name, c.arguments) for c in reply.calls] == [("look", {"record": "417"})]
    provider = "openai" if server.model == "served" else "hosted_vllm"
    assert (reply.content, reply.finish, reply.provider) == ("m [m1]", "tool_calls", provider)
    assert (reply.usage.calls, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (
        1,
        30,
        4,
    )
    assert reply.usage.cost is None
    (sent,) = server.requests
    assert sent == {
        "model": "served",
        "messages": ASK,
        "tools": [TOOL.schema_openai()],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 5,
    }


@pytest.mark.parametrize("server", ["served"], indirect=True)
async def test_a_known_model_has_a_price(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.answers = [completion("hello")]
    reply = await LiteLLM("gpt-4o-mini").complete(ASK, (), Sampling())
    assert reply.provider == "openai"
    assert reply.usage.cost == pytest.approx(30 * 0.15e-6 + 4 * 0.6e-6)
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "tools" not in server.requests[0]


async def test_undecodable_arguments_are_a_call_that_can_be_answered(server):
    server.answers = [completion(None, [("look", '{"record": ')])]
    (call,) = (await ask(client(server))).calls
    assert (call.name, call.arguments) == ("look", {RAW: '{"record": '})


async def test_calls_left_in_the_text_are_found(server):
    text = 'so <tool_call>{"name": "look", "arguments": {"record": "1"}}</tool_call>'
    server.answers = [completion(text), completion(text)]
    reply = await ask(client(server))
    assert (reply.content, reply.calls[0].arguments) == ("so", {"record": "1"})
    assert (await ask(client(server), tools=())).calls == ()


async def test_an_answer_without_choices_is_empty(server):
    server.answers = [completion(choices=[])]
    reply = await ask(client(server))
    assert (reply.content, reply.calls) == ("", ())


async def test_earlier_calls_go_out_as_json_strings(server):
    server.answers = [completion("ok")]
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": {"a": 1}}}
    messages = [*ASK, {"role": "assistant", "content": "", "tool_calls": [call]}]
    await client(server).complete(messages, [TOOL], Sampling())
    sent = server.requests[0]["messages"][-1]["tool_calls"][0]
    assert json.loads(sent["function"]["arguments"]) == {"a": 1}
    assert call["function"]["arguments"] == {"a": 1}


async def test_it_asks_again_after_429_and_500_without_real_waiting(server):
    waits = []
    server.answers = [(500, {}), (429, {"retry-after": "7"}), (503, {}), completion("ok")]
    reply = await ask(client(server, waits))
    assert reply.content == "ok"
    assert len(server.requests) == 4
    assert 0.5 <= waits[0] <= 1
    assert waits[1] == 7
    assert 2 <= waits[2] <= 4


async def test_it_gives_up_after_all_retries(server):
    waits = []
    server.answers = [(500, {})] * 3
    with pytest.raises(ModelFault, match="status 500"):
        await ask(client(server, waits, retries=2))
    assert len(waits) == 2


async def test_a_timeout_is_one_clear_line(server):
    server.answers = [2.0, 2.0]
    waits = []
    with pytest.raises(ModelFault, match=r"did not answer within 0\.2 s"):
        await ask(client(server, waits, retries=1, timeout=0.2))
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "export (OPENAI|HOSTED_VLLM)_API_KEY"), (404, "has no model"), (400, "status 400")],
)
async def test_what_cannot_be_mended_is_not_asked_again(server, status, words):
    waits = []
    server.answers = [(status, {})]
    with pytest.raises(ModelFault, match=words) as caught:
        await ask(client(server, waits))
    assert waits == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["served", "hosted_vllm/served"])
async def test_an_unreachable_server_is_named(name):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    model = LiteLLM(name, "http://127.0.0.1:1/v1", retries=1, sleep=sleep)
    with pytest.raises(ModelFault, match=r"127\.0\.0\.1:1/v1 cannot be reached"):
        await ask(model)
    assert len(waits) == 1


@pytest.mark.parametrize("name", ["openai/gpt-4o", "anthropic/claude-3-5-haiku-20241022"])
async def test_a_missing_key_says_which_variable(name):
    with pytest.raises(ModelFault, match=f"export {name.split('/')[0].upper()}_API_KEY"):
        await ask(LiteLLM(name))


async def test_an_unknown_model_says_what_to_write():
    with pytest.raises(UserError, match=r"local/DIR, .*, provider/model"):
        LiteLLM("nonsense")
    with pytest.raises(ModelFault, match=r"local/DIR, .*, provider/model"):
        await ask(LiteLLM("nonsense/at-all"))


@pytest.mark.parametrize("command", [["evolve"], ["bench", "run", "house_rules"]])
def test_an_unknown_model_is_refused_before_any_work(tmp_path, capsys, command):
    more = ["--model", "nonsense", "--workspace", str(tmp_path / "ws"), "--json"]
    assert _run([*command, *more]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "local/DIR" in err


async def test_many_requests_at_once(server):
    server.answers = [completion(str(i)) for i in range(16)]
    model = client(server)
    replies = await asyncio.gather(*(ask(model) for _ in range(16)))
    assert {r.content for r in replies} == {str(i) for i in range(16)}


async def test_what_is_no_completion_is_said_so(server):
    server.answers = ["<html>Welcome</html>"] * 5
    with pytest.raises(ModelFault, match=r"OpenAI's format|failed for model"):
        await ask(client(server, []))


def test_a_model_outlives_a_loop():
    async def once(model):
        one = Server()
        one.answers = [completion("hello")]
        app = web.Application()
        app.router.add_post("/v1/chat/completions", one.chat)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, shutdown_timeout=0.1).start()
        reply = await ask(model)
        await model.close()
        await runner.cleanup()
        return reply.content

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    model = LiteLLM("served", f"http://127.0.0.1:{port}/v1")
    assert [asyncio.run(once(model)) for _ in range(2)] == ["hello", "hello"]


def test_a_server_of_ones_own_needs_no_litellm():
    script = """
import asyncio, sys
from instar.errors import ModelFault
from instar.llm import LiteLLM
from instar.types import Sampling
try:
    asyncio.run(LiteLLM("served", "http://127.0.0.1:1/v1", retries=0).complete([], (), Sampling()))
except ModelFault as fault:
    print(fault, "litellm" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "cannot be reached" in done.stdout and done.stdout.endswith("False\n"), done


async def test_scripted_plays_texts_mappings_and_replies():
    calls = [{"name": "look", "arguments": '{"record": "1"}'}]
    model = Scripted([Reply(content="a"), {"calls": calls}, '<|call|>look "2"<|end|>'])
    replies = [await ask(model) for _ in range(3)]
    assert isinstance(model, ChatModel)
    assert replies[0].content == "a"
    assert [r.calls[0].arguments["record"] for r in replies[1:]] == ["1", "2"]
    with pytest.raises(ModelFault, match="3 replies"):
        await ask(model)


async def test_scripted_begins_again_when_told_to():
    model = Scripted(["a", "b"], repeat=True)
    assert [(await ask(model)).content for _ in range(3)] == ["a", "b", "a"]


@pytest.mark.parametrize("text", ['["a", {"content": "b"}]', '"a"\n\n{"content": "b"}\n'])
async def test_scripted_reads_a_file(tmp_path, text):
    path = tmp_path / "script"
    path.write_text(text)
    model = Scripted.load(path)
    assert [(await ask(model)).content for _ in range(2)] == ["a", "b"]


def test_a_script_that_cannot_be_read_is_the_users_to_mend(tmp_path):
    path = tmp_path / "script"
    with pytest.raises(ConfigError, match="script"):
        Scripted.load(path)
    path.write_text("{oops")
    with pytest.raises(ConfigError, match="script"):
        Scripted.load(path)
