"""The walls of conftest hold: in this process, in Python children, in Chromium."""

import os
import socket
import subprocess
import sys

import pytest
from playwright.async_api import Error, async_playwright

from tools.install_chromium import find_chromium


def test_this_process_stays_on_loopback(stays_on_loopback):
    with pytest.raises(PermissionError, match="stay on loopback"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(PermissionError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 443)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, pytest.raises(PermissionError):
        udp.sendto(b"x", ("192.0.2.1", 53))
    assert len(stays_on_loopback) == 3
    stays_on_loopback.clear()


def test_loopback_is_open():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()[:2], timeout=5) as client,
    ):
        client.sendall(b"x")


def test_python_children_stay_on_loopback():
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "Tests stay on loopback" in child.stderr


def test_no_keys_reach_a_test():
    assert not [n for n in os.environ if n.endswith("_API_KEY") or n.startswith("INSTAR_")]


@pytest.mark.browser
async def test_chromium_stays_on_loopback():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium())
        page = await browser.new_page()
        with pytest.raises(Error, match="ERR_PROXY_CONNECTION_FAILED"):
            await page.goto("http://example.org/", timeout=10_000)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
            await page.goto(f"http://127.0.0.1:{port}/", timeout=10_000)
        await browser.close()
