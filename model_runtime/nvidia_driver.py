"""What NVIDIA's driver says of itself and its devices. For child processes, not for Blender."""

import ctypes
import sys
from dataclasses import dataclass

NAME_BYTES = 256


@dataclass(frozen=True)
class Driver:
    """`version` is the newest CUDA that it can run, as 12080 for 12.8; 0 without a driver."""

    version: int = 0
    devices: tuple[str, ...] = ()

    @property
    def lack(self) -> str:
        """What stands between this driver and CUDA, in words; empty if nothing does."""
        if not self.version:
            return "there is no NVIDIA driver"
        return "" if self.devices else "the NVIDIA driver shows no device"


def read_driver() -> Driver:
    """Takes a moment: the driver wakes its devices."""
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        version, count = ctypes.c_int(0), ctypes.c_int(0)
        if cuda.cuDriverGetVersion(ctypes.byref(version)):
            return Driver()
        if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
            return Driver(version.value)
        names = tuple(_name_of(cuda, index) for index in range(count.value))
    except (OSError, AttributeError):  # no such library, or not the driver's
        return Driver()
    return Driver(version.value, names)


def _name_of(cuda: ctypes.CDLL, index: int) -> str:
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(NAME_BYTES)
    if cuda.cuDeviceGet(ctypes.byref(device), index):
        return "a device"
    if cuda.cuDeviceGetName(name, NAME_BYTES, device):
        return "a device"
    return name.value.decode("utf-8", "replace")
