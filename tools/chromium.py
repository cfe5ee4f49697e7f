"""Find a Chromium and the flags to run it with; no Playwright is needed to ask.

Order: the environment variable ``INSTAR_CHROMIUM``, Playwright's own download, then the usual
names on PATH. Playwright's download is looked up by folder because asking Playwright itself means
starting its driver first, and because any downloaded build will do, not only the newest.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

from instar.errors import MissingExtra, UserError

__all__ = ["FLAGS", "VARIABLE", "version_of", "find_chromium"]

VARIABLE = "INSTAR_CHROMIUM"
_ANSWER_SECONDS = 20
_FEATURES_OFF = (
    # Each context is a window whose address bar would start two renderers: half the cost of a page.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # What Playwright turns off. Of several such flags Chromium obeys the last, so this one has to
    # name them again; names that a version does not know are ignored.
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(_FEATURES_OFF)}",
    # WebRTC would otherwise send UDP past the proxy that blocks foreign hosts.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
)

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FIXED = ("/usr/bin/chromium",)
_DOWNLOADS = (
    "chromium_headless_shell-*/*/headless_shell",
    "chromium_headless_shell-*/*/chrome-headless-shell",
    "chromium-*/*/chrome",
    "chromium-*/*/Chromium.app/Contents/MacOS/Chromium",
)


def _cache() -> Path:
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    if named and named != "0":
        return Path(named)
    home = Path.home()
    mac = sys.platform == "darwin"
    return home / "Library/Caches/ms-playwright" if mac else home / ".cache/ms-playwright"


def _build(path: Path) -> int:
    found = re.search(r"chromium[a-z_]*-(\d+)", path.as_posix())
    return int(found.group(1)) if found else 0


def _downloaded() -> Path | None:
    found = [p for pattern in _DOWNLOADS for p in _cache().glob(pattern) if os.access(p, os.X_OK)]
    return max(found, key=_build) if found else None


def _installed() -> Path | None:
    named = (shutil.which(name) for name in (*_NAMES, *_FIXED))
    return next((Path(path) for path in named if path), None)


def find_chromium() -> Path:
    """The Chromium to launch.

    Raises:
        UserError: ``INSTAR_CHROMIUM`` names something that cannot be run.
        MissingExtra: There is none.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        path = shutil.which(chosen)
        if path is None:
            raise UserError(f"{VARIABLE}={chosen} is no program that can be run; unset or mend it")
        return Path(path)
    found = _downloaded() or _installed()
    if found is None:
        remedy = f"playwright install chromium (or set {VARIABLE} to the path of one)"
        raise MissingExtra("A Chromium browser", remedy)
    return found


async def version_of(program: Path) -> str:
    """What a program says to ``--version``; empty if it does not start or does not answer."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            program, "--version", stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return ""
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _ANSWER_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return output.decode(errors="replace").strip() if process.returncode == 0 else ""
