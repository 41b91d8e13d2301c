"""Run by path with `-I`: `start_trial.py FOLDER ...`: whether PyTorch starts and computes on CUDA.

The folders are its whole `sys.path`. Says one line of JSON, the fields of `cuda_trial.Trial`.
"""

import json
import sys


def trial() -> dict[str, str]:
    import torch

    found = {"torch": torch.__version__.partition("+")[0], "cuda": torch.version.cuda or ""}
    if not found["cuda"]:
        return found | {"trouble": "this PyTorch is built without CUDA"}
    if not torch.cuda.is_available():
        return found | {"trouble": "PyTorch finds no CUDA device"}
    found["device"] = torch.cuda.get_device_name()
    signal, weight = torch.arange(12.0).reshape(1, 1, 12), torch.ones(1, 1, 3)
    expected = torch.nn.functional.conv1d(signal, weight)
    on_device = torch.nn.functional.conv1d(signal.cuda(), weight.cuda()).cpu()
    if not torch.allclose(on_device, expected):
        return found | {"trouble": "PyTorch computes wrong results on this device"}
    return found


if __name__ == "__main__":
    sys.path[:] = sys.argv[1:]
    try:
        said = trial()
    except Exception as error:  # noqa: BLE001 - whatever a broken library raises is the answer
        said = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:400]}
    print(json.dumps(said))  # noqa: T201 - the answer
