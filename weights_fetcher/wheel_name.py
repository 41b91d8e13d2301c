"""What the name of a wheel says: which package, and on which Pythons and systems it runs."""

import platform
import re
import sys
from collections.abc import Collection
from typing import NamedTuple

FITTING_TAG = {
    "linux-x64": r"(many)?linux.*_x86_64|any",
    "windows-x64": r"win_amd64|any",
    "macos-arm64": r"macosx_.*_(arm64|universal2)|any",
}
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}
MACHINES = {"x86_64": "x64", "amd64": "x64", "arm64": "arm64", "aarch64": "arm64"}


class WheelName(NamedTuple):
    """A wheel's file name taken apart. `python` and `platform` may be several, joined by dots."""

    distribution: str
    version: str
    python: str
    abi: str
    platform: str

    @classmethod
    def of(cls, name: str) -> "WheelName":
        """Raises ValueError when the name is no wheel's."""
        parts = name.removesuffix(".whl").split("-")
        if not name.endswith(".whl") or len(parts) not in (5, 6):
            raise ValueError(f"{name} is not named like a wheel.")
        distribution = re.sub(r"[-_.]+", "_", parts[0]).lower()
        return cls(distribution, parts[1], *parts[-3:])

    def fits(self, platform: str, pythons: Collection[str]) -> bool:
        """Whether one of these Pythons ("cp311") on `platform` ("linux-x64") can import it."""
        tags = self.platform.split(".")
        if not any(re.fullmatch(FITTING_TAG.get(platform, "any"), tag) for tag in tags):
            return False
        if self.abi == "abi3" or "py3" in self.python.split("."):
            return True
        return any(python in self.python.split(".") for python in pythons)


def this_platform() -> str:
    """As FITTING_TAG names it; another name where there is none for this system."""
    machine = platform.machine().lower()
    system = SYSTEMS.get(sys.platform, sys.platform)
    return f"{system}-{MACHINES.get(machine, machine)}"
