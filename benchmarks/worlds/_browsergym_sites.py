"""The benchmarks behind BrowserGym: what each needs, and what an agent may do in it."""

from __future__ import annotations

from instar.types import Record

__all__ = ["BENCHMARKS", "Site"]

_BASIC = ("click", "fill", "select", "press", "hover", "scroll", "wait")
_WEB = (*_BASIC, "navigate", "back", "tab", "answer", "give_up")


class Site(Record):
    """One benchmark.

    Attributes:
        package: What is imported to register its tasks.
        install: What pip installs, and what else has to be typed once.
        needs: Environment variables it reads, which must be set.
        servers: Those of them that hold addresses, and further addresses, that must answer.
        tools: Names of the agent's tools.
        seeds: How many seeds make different tasks; 1 where a task is always the same.
        answers: Whether it wants to be told that the agent is done, with the answer.
        about: For people: how many tasks, whose.
    """

    package: str
    install: str
    needs: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    tools: tuple[str, ...] = _WEB
    seeds: int = 1
    answers: bool = True
    about: str = ""


_WA = tuple(
    f"WA_{name}"
    for name in ("SHOPPING", "SHOPPING_ADMIN", "REDDIT", "GITLAB", "WIKIPEDIA", "MAP", "HOMEPAGE")
)
_VWA = tuple(
    f"VWA_{name}" for name in ("SHOPPING", "REDDIT", "WIKIPEDIA", "CLASSIFIEDS", "HOMEPAGE")
)

BENCHMARKS = {
    "miniwob": Site(
        package="browsergym.miniwob",
        install="browsergym-core browsergym-miniwob",
        tools=_BASIC,
        seeds=10_000,
        answers=False,
        about="MiniWoB++: 125 small pages; served from our own copy, nothing else is needed",
    ),
    "webarena": Site(
        package="browsergym.webarena",
        install="browsergym-webarena && PYTHON -m nltk.downloader punkt_tab",
        needs=(*_WA, "OPENAI_API_KEY"),
        servers=_WA,
        about="WebArena: 812 tasks on six sites of one's own; some answers are judged by a paid model",
    ),
    "visualwebarena": Site(
        package="browsergym.visualwebarena",
        install="browsergym-visualwebarena && PYTHON -m nltk.downloader punkt_tab",
        needs=(*_VWA, "VWA_CLASSIFIEDS_RESET_TOKEN", "OPENAI_API_KEY"),
        servers=_VWA,
        about="VisualWebArena: 910 tasks on four sites of one's own; pictures are not shown to the agent",
    ),
    "workarena": Site(
        package="browsergym.workarena",
        install="browsergym-workarena && workarena-install",
        needs=("SNOW_INSTANCE_URL", "SNOW_INSTANCE_UNAME", "SNOW_INSTANCE_PWD"),
        servers=("SNOW_INSTANCE_URL",),
        seeds=1_000,
        about="WorkArena: office work in a ServiceNow instance of one's own",
    ),
    "assistantbench": Site(
        package="browsergym.assistantbench",
        install="browsergym-assistantbench",
        servers=("https://huggingface.co",),
        about="AssistantBench: 214 questions about the open web; those of its test split cannot be scored",
    ),
}
