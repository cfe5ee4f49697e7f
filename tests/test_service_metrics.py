"""What the service counts, read as Prometheus reads it; and its page of documentation, which stays at home."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_service import BEGIN, MESSAGES, begin, folder, recalled, served  # noqa: F401

from tools.browser import Browser


@pytest.fixture
def http(folder):  # noqa: F811
    with served(folder) as url, httpx.Client(base_url=url) as client:
        yield client


def counts(http: httpx.Client) -> dict[tuple[str, ...], float]:
    """Samples by name and the values of their labels."""
    answer = http.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_what_sessions_do_is_counted(http):
    session = begin(http, subject="ada")
    assert recalled(http, session) == ["m-ada"]
    begin(http, shadow=True)
    assert recalled(http, begin(http, agent="nobody")) == []
    sent = {"messages": MESSAGES, "prompt_tokens": 90, "completion_tokens": 10}
    http.post(f"/v1/sessions/{session}/steps", json=sent)
    for status in ("pass", "fail"):  # the second is refused, and so no outcome
        http.post(f"/v1/sessions/{session}/outcome", json={"status": status})
    found = counts(http)
    assert found["instar_sessions_total", "false"] == 2
    assert found["instar_sessions_total", "true"] == 1
    assert found["instar_recall_seconds_count",] == 2
    assert found["instar_recalled_items_bucket", "0.0", "false"] == 1, "one was empty"
    assert found["instar_recalled_items_sum", "false"] == 1
    assert found["instar_reported_tokens_total", "prompt"] == 90
    assert found["instar_reported_tokens_total", "completion"] == 10
    assert found["instar_outcomes_total", "user", "pass"] == 1
    assert ("instar_outcomes_total", "user", "fail") not in found
    route = "/v1/sessions/{session}/outcome"
    assert found["instar_requests_total", "POST", route, "200"] == 1
    assert found["instar_requests_total", "POST", route, "409"] == 1
    assert found["instar_request_seconds_count", "POST", route] == 2
    assert found["process_resident_memory_bytes",] > 1e6


def test_nothing_that_a_caller_chooses_becomes_a_label(http):
    http.request("PROPFIND", "/coffee/1")
    http.get("/coffee/2")
    session = begin(http, subject="ada")
    http.post(f"/v1/sessions/{session}x/recall", json={})
    text = http.get("/metrics").text
    assert not re.search(f"PROPFIND|coffee|{session}|ada|support", text)
    assert counts(http)["instar_requests_total", "_OTHER", "none", "404"] == 1


def test_two_services_in_a_process_count_apart(http, folder):  # noqa: F811
    begin(http)
    with served(folder) as url, httpx.Client(base_url=url) as other:
        assert ("instar_sessions_total", "false") not in counts(other)


# The page


def test_the_page_of_documentation_asks_no_other_host(http):
    page = http.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded and all(place.startswith("/") for place in loaded), loaded
    for place in loaded:
        assert http.get(place).status_code == 200


@pytest.mark.browser
async def test_a_browser_without_the_internet_shows_the_page(http):
    async with Browser() as browser:
        page = await browser.open_page(f"{str(http.base_url).rstrip(chr(47))}/docs", 0)
        try:
            seen = await page.observe()
            while "text: loading" in seen:
                await asyncio.sleep(0.05)
                seen = await page.observe()
        finally:
            await page.close()
    assert "/v1/sessions/{session}/recall" in seen
