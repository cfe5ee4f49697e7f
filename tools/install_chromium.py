"""Set up a Chromium: ``python -m tools.install_chromium``, from the root of the checkout.

What is there and starts is taken. Else Playwright's own download is tried; where that cannot start
for want of system libraries, those are installed; last comes Debian's package. System packages are
touched only by root or where ``sudo`` asks no password. Ubuntu's package is left alone: it is a
stub for a snap. "There" always means that the browser has opened a page, not that a file exists.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from instar.errors import UserError
from tools.chromium import FLAGS, VARIABLE, find_chromium

__all__ = ["main", "set_up"]

_DOWNLOAD_SECONDS = 300
_APT_SECONDS = 900
_LAUNCH_MILLISECONDS = 30_000

Run = Callable[[Sequence[str], float], bool]
"""Run a command with a limit in seconds; whether it succeeded."""


def problem() -> str:
    """Why no Chromium can be used, in one line; empty if one has opened a page."""
    from playwright.sync_api import Error, sync_playwright

    try:
        path = str(find_chromium())
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=path, args=list(FLAGS), timeout=_LAUNCH_MILLISECONDS
            )
            browser.new_page().set_content("<title>ready</title>")
            browser.close()
    except UserError as error:
        return str(error)
    except Error as error:
        return f"{path} does not start: {_reason(str(error))}"
    return ""


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = (line for line in lines if "error while loading" in line)
    return next(telling, lines[0] if lines else "no reason given")


def _run(command: Sequence[str], seconds: float) -> bool:
    print("  $", " ".join(command), flush=True)
    # Playwright waits 30 s for each of several mirrors; a machine without a network is told sooner.
    environment = {"PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "10000", **os.environ}
    try:
        return subprocess.run(command, timeout=seconds, env=environment).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  {error}", flush=True)
        return False


def _as_root(run: Run) -> list[str] | None:
    """How to begin a command that needs root; None where that is not possible."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if shutil.which("sudo") and run(["sudo", "-n", "true"], 10) else None


def _is_debian(release: Path = Path("/etc/os-release")) -> bool:
    lines = release.read_text().splitlines() if release.exists() else []
    return "ID=debian" in lines and shutil.which("apt-get") is not None


def set_up(
    run: Run = _run, problem: Callable[[], str] = problem, debian: bool | None = None
) -> str:
    """Try the ways in order until a Chromium opens a page.

    Returns:
        What is still wrong, empty if nothing.
    """
    wrong = problem()
    if not wrong or VARIABLE in os.environ:
        return wrong
    playwright = [sys.executable, "-m", "playwright"]
    print("No Chromium that starts was found; trying Playwright's.", flush=True)
    downloaded = run([*playwright, "install", "--only-shell", "chromium"], _DOWNLOAD_SECONDS)
    if downloaded and not (wrong := problem()):
        return ""
    root = _as_root(run)
    if root is None:
        return wrong
    if downloaded:
        run([*root, *playwright, "install-deps", "chromium"], _APT_SECONDS)
        if not (wrong := problem()):
            return ""
        # A download that cannot start would be found before Debian's package.
        run([*playwright, "uninstall"], _DOWNLOAD_SECONDS)
    if _is_debian() if debian is None else debian:
        print("Trying Debian's package.", flush=True)
        apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        packages = ["chromium", "fonts-liberation"]
        run([*apt, "update"], _APT_SECONDS)
        run([*apt, "install", "-y", "--no-install-recommends", *packages], _APT_SECONDS)
        wrong = problem()
    return wrong


def main() -> int:
    """Set up a Chromium and say which, or say in one line what is left to do."""
    wrong = set_up()
    if not wrong:
        print(f"Chromium: {find_chromium()}")
        return 0
    remedy = f"Install one (Debian: sudo apt-get install chromium) or set {VARIABLE} to its path"
    print(f"No Chromium could be set up: {wrong.rstrip('.')}. {remedy}.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
