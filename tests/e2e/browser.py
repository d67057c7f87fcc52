# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which browser the end-to-end tests use; as a script: print its path, or fail without one."""

import os
import shutil
import sys
from pathlib import Path

#: Looked for on the path, in this order.
COMMANDS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
#: Where browsers lie that are on no path.
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
#: Names another one.
VARIABLE = "E2E_BROWSER"
ADVICE = (
    "install one (Debian: apt-get install chromium fonts-dejavu-core; elsewhere Google Chrome, or "
    f"python -m playwright install chromium), or name its executable in {VARIABLE}"
)

#: A container has no sandbox, no GPU and little shared memory; nothing is to be asked of the net.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def find_browser() -> str | None:
    """Path of a browser of the Chromium family, or ``None``."""
    named = os.environ.get(VARIABLE)
    if named:
        return shutil.which(named)
    for command in COMMANDS:
        found = shutil.which(command)
        if found:
            return found
    for place in PLACES:
        if Path(place).is_file():
            return place
    return _own_of_playwright()


def _own_of_playwright() -> str | None:
    """Browser that ``playwright install`` has downloaded."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path and Path(path).is_file() else None


def is_required() -> bool:
    """Whether a missing browser is a failure, as in continuous integration."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


if __name__ == "__main__":
    browser = find_browser()
    sys.stdout.write(f"{browser}\n" if browser else "")
    sys.exit(0 if browser else 1)
