"""A desk between the stand-ins, for every test its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from app import Desk
from doubles import Model, Office, serving

from agent.config import Settings


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    double = Model()
    with serving(dict, double.complete) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield double


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    double = Office()
    with serving(double.tools, double.use) as url:
        monkeypatch.setenv("OFFICE_URL", url)
        yield double


@pytest.fixture
def desk(model: Model, office: Office) -> Desk:
    return Desk(Settings.read())
