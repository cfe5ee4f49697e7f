"""The support desk: a command, ``python -m app "refund order 417"``, or a service, ``--serve 8000``."""

from __future__ import annotations

import argparse
import sys
import uuid
from dataclasses import asdict, dataclass

import httpx
import openai
import uvicorn
from fastapi import FastAPI, HTTPException
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.errors import GraphRecursionError
from pydantic import BaseModel

from agent.config import Settings
from agent.graph import build
from tools.office import office_tools

PASSED_ON = "I could not finish this and passed it on to a colleague."
FAILURES = (httpx.HTTPError, openai.OpenAIError)


@dataclass
class Ticket:
    """A request, what was answered, and whether the customer says that it is solved."""

    id: str
    instruction: str
    answer: str = ""
    solved: bool | None = None


class Asked(BaseModel):
    """A request; it may name another office than the desk's own."""

    instruction: str
    tools_url: str | None = None


class Rating(BaseModel):
    """What the customer says afterwards."""

    solved: bool


class Desk:
    """Answers requests, and keeps them for ratings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model = ChatOpenAI(model=settings.model, temperature=0)
        self.tickets: dict[str, Ticket] = {}

    def solve(self, instruction: str, office: str | None = None) -> Ticket:
        """Carry out a request with the tools of an office."""
        ticket = Ticket(uuid.uuid4().hex, instruction)
        graph = build(self.model, office_tools(office or self.settings.office))
        limit: RunnableConfig = {"recursion_limit": 2 * self.settings.most_turns}
        try:
            found = graph.invoke({"messages": [("user", instruction)]}, limit)
            ticket.answer = found["messages"][-1].text
        except GraphRecursionError:
            ticket.answer = PASSED_ON
        self.tickets[ticket.id] = ticket
        return ticket

    def rate(self, ticket: Ticket, solved: bool) -> None:
        """Take down whether a request was solved."""
        ticket.solved = solved


def service(desk: Desk) -> FastAPI:
    """The desk over HTTP."""
    app = FastAPI(title="Support desk")

    def known(id: str) -> Ticket:
        if id not in desk.tickets:
            raise HTTPException(404, f"There is no ticket {id}.")
        return desk.tickets[id]

    @app.post("/solve")
    def solve(asked: Asked) -> dict[str, str]:
        try:
            ticket = desk.solve(asked.instruction, asked.tools_url)
        except FAILURES as error:
            raise HTTPException(502, f"The desk cannot work: {error}") from error
        return {"answer": ticket.answer, "ticket": ticket.id}

    @app.get("/tickets/{id}")
    def ticket(id: str) -> dict[str, str | bool | None]:
        return asdict(known(id))

    @app.post("/tickets/{id}/rating", status_code=204)
    def rate(id: str, rating: Rating) -> None:
        desk.rate(known(id), rating.solved)

    return app


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="app", description="The support desk.")
    parser.add_argument(
        "instruction", nargs="?", help="a request; without one it is read from stdin"
    )
    parser.add_argument("--serve", type=int, metavar="PORT", help="answer requests over HTTP")
    given = parser.parse_args()
    desk = Desk(Settings.read())
    if given.serve is not None:
        uvicorn.run(service(desk), port=given.serve, log_level="warning")
        return
    try:
        print(desk.solve(given.instruction or sys.stdin.read().strip()).answer)
    except FAILURES as error:
        sys.exit(f"The desk cannot work: {error}")


if __name__ == "__main__":
    main()
