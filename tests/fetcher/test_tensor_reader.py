"""Archives are read as PyTorch reads them, and nothing inside them runs."""

import os
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from weights_fetcher.tensor_reader import TensorArchive, TensorFileError, TensorRef


def read(file: Path) -> Any:
    """The saved object with arrays for its tensors."""
    with TensorArchive(file) as archive:
        return _with_arrays(archive, archive.contents)


def _with_arrays(archive: TensorArchive, value: Any) -> Any:
    if isinstance(value, TensorRef):
        return archive.array(value)
    if isinstance(value, dict):
        return {key: _with_arrays(archive, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(archive, item) for item in value]
    return value


def saved(tmp_path: Path, value: Any) -> Path:
    file = tmp_path / "saved.tar"
    torch.save(value, file)
    return file


def archive_of(tmp_path: Path, program: bytes, **storages: bytes) -> Path:
    """An archive with a pickle program of our own."""
    file = tmp_path / "forged.tar"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("forged/data.pkl", program)
        for key, data in storages.items():
            archive.writestr(f"forged/data/{key}", data)
    return file


def replaced(file: Path, change: Callable[[str, bytes], bytes | None], **options: Any) -> Path:
    """A copy of an archive whose members went through `change`; None leaves one out."""
    other = file.with_name("changed.tar")
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(other, "w", **options) as target:
        for member in source.namelist():
            data = change(member.split("/", 1)[1], source.read(member))
            if data is not None:
                target.writestr(member, data)
    return other


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.int32]
)
def test_numbers_of_every_kind_are_read(tmp_path: Path, dtype: torch.dtype):
    tensor = (torch.arange(24) - 7).reshape(2, 3, 4).to(dtype)
    array = read(saved(tmp_path, {"a": tensor}))["a"]
    assert array.dtype == tensor.numpy().dtype
    assert np.array_equal(array, tensor.numpy())


def test_views_keep_their_offset_and_strides(tmp_path: Path):
    whole = torch.arange(60.0).reshape(5, 12)
    views = {
        "turned": whole.T,
        "part": whole[1:4, 2::3],
        "number": whole[2, 3],
        "none": whole[:0],
        "flags": torch.tensor([True, False, True]),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }
    arrays = read(saved(tmp_path, views))
    for name, view in views.items():
        assert np.array_equal(arrays[name], view.numpy())
        assert arrays[name].flags.c_contiguous and arrays[name].flags.writeable


def test_what_trainers_save_beside_the_weights_is_read(tmp_path: Path):
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.randn(4, 3)).sum().backward()
    optimiser.step()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [50, 50, 70])
    contents = read(
        saved(
            tmp_path,
            {
                "net": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "scheduler": scheduler.state_dict(),
                "epoch": 3,
                "big": 2**40,
                "more": OrderedDict(a=Counter([1, 1]), b=[None, True, 0.5, -3], c=(1, 2, 3, 4)),
            },
        )
    )
    assert np.array_equal(contents["net"]["0.weight"], network[0].weight.detach().numpy())
    assert contents["scheduler"]["milestones"] == {50: 2, 70: 1}
    assert contents["big"] == 2**40 and contents["epoch"] == 3
    assert contents["more"] == {"a": {1: 2}, "b": [None, True, 0.5, -3], "c": (1, 2, 3, 4)}


class Payload:
    """What a malicious file holds: unpickling it runs a command."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path: Path, protocol: int):
    marker = tmp_path / "it ran"
    command = f"touch '{marker}'"
    for payload in (Payload(os.system, command), Payload(exec, f"open({str(marker)!r}, 'w')")):
        program = pickle.dumps({"vq_model": payload}, protocol=protocol)
        with pytest.raises(TensorFileError, match=r"nothing in it was run|damaged"):
            read(archive_of(tmp_path, program))
        assert not marker.exists()
        pickle.loads(program)  # the proof that the payload is one
        assert marker.exists()
        marker.unlink()


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


@pytest.mark.parametrize(
    "program",
    [
        opcodes(b"cposix\nsystem\n"),
        opcodes(b"cbuiltins\neval\n", b"X\x01\x00\x00\x001\x85R"),
        opcodes(b"(S'echo'\niposix\nsystem\n"),
        opcodes(b"(cposix\nsystem\nX\x04\x00\x00\x00echoo"),
        opcodes(b"\x8c\x05posix\x8c\x06system\x93"),
        opcodes(b"ccollections\nOrderedDict\n)\x81"),
        opcodes(b"ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb"),
        opcodes(b"ccollections\nOrderedDict\n]\x85R"),
        opcodes(b"ctorch._utils\n_rebuild_tensor_v2\n)R"),
        opcodes(b"ctorch\nFloatStorage\n)R"),
        opcodes(b"ctorch\nload\n"),
        opcodes(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n"),
        opcodes(b"K\x01)R"),
        opcodes(b"K\x01Q"),
        opcodes(b"X\x04\x00\x00\x00evilX\x01\x00\x00\x00a\x86Q"),
        opcodes(b"\x82\x01"),
        opcodes(b"}]K\x01s"),
        opcodes(b"}(K\x01u"),
        opcodes(b"K\x01K\x02a"),
        opcodes(b"h\x07"),
        opcodes(b"u"),
        opcodes(b"\x87"),
        opcodes(),
        b"\x80\x02}",
        b"",
        b"not a pickle",
    ],
)
def test_forged_programs_are_refused(tmp_path: Path, program: bytes):
    with pytest.raises(TensorFileError, match=r"forged\.tar"):
        read(archive_of(tmp_path, program))


def tensor_program(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], kind: str = "FloatStorage"
) -> bytes:
    """A pickle of one tensor in storage "0", as torch.save writes it."""

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    storage = text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu")
    return opcodes(
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        *(storage, number(6), b"tQ"),
        *(number(offset), numbers(shape), numbers(strides), b"\x89}tR"),
    )


def test_the_forged_tensor_of_these_tests_is_a_good_one(tmp_path: Path):
    data = np.arange(6, dtype=np.float32).tobytes()
    assert read(
        archive_of(tmp_path, tensor_program(1, (2, 2), (2, 1)), **{"0": data})
    ).tolist() == [
        [1, 2],
        [3, 4],
    ]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (3, (2, 2), (2, 1)),
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2,), (1, 1)),
        (0, (100000, 100000), (0, 0)),
        (0, (2**30,), (0,)),
        (0, (2,), (2**30,)),
        (7, (0,), (1,)),
        (0, (1,) * 40, (1,) * 40),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
):
    file = archive_of(tmp_path, tensor_program(offset, shape, strides), **{"0": bytes(24)})
    with pytest.raises(TensorFileError, match="reaches beyond"):
        read(file)


def test_a_storage_of_no_known_kind_is_refused(tmp_path: Path):
    file = archive_of(
        tmp_path, tensor_program(0, (2,), (1,), "BFloat16Storage"), **{"0": bytes(24)}
    )
    with pytest.raises(TensorFileError, match=r"torch\.BFloat16Storage"):
        read(file)


def test_damaged_archives_are_refused(tmp_path: Path):
    good = saved(tmp_path, {"a": torch.arange(1000.0)})

    def without_storage(name: str, data: bytes) -> bytes | None:
        return None if name == "data/0" else data

    def cut(name: str, data: bytes) -> bytes:
        return data[:-3] if name == "data/0" else data

    def shorter(name: str, data: bytes) -> bytes:
        return data[:-4] if name == "data/0" else data

    def same(_name: str, data: bytes) -> bytes:
        return data

    for change, words in ((without_storage, "no 'saved/data/0'"), (cut, "cut off")):
        with pytest.raises(TensorFileError, match=words):
            read(replaced(good, change))
    with pytest.raises(TensorFileError, match="reaches beyond"):
        read(replaced(good, shorter))
    with pytest.raises(TensorFileError, match=r"not as torch\.save writes it"):
        read(replaced(good, same, compression=zipfile.ZIP_DEFLATED))
    data = bytearray(good.read_bytes())
    data[data.index(np.arange(500.0, 510.0, dtype=np.float32).tobytes())] ^= 1
    good.write_bytes(data)
    with pytest.raises(TensorFileError, match="damaged at 'saved/data/0'"):
        read(good)


def test_other_files_are_refused(tmp_path: Path):
    old = tmp_path / "old.tar"
    torch.save({"a": torch.zeros(3)}, old, _use_new_zipfile_serialization=False)
    empty = tmp_path / "empty.tar"
    empty.touch()
    other_zip = tmp_path / "other.zip"
    with zipfile.ZipFile(other_zip, "w") as archive:
        archive.writestr("readme.txt", "hello")
    for file in (old, empty, other_zip, tmp_path, tmp_path / "missing.tar"):
        with pytest.raises(TensorFileError, match=file.name):
            read(file)


def test_big_endian_archives_are_read(tmp_path: Path):
    good = saved(tmp_path, {"a": torch.arange(5, dtype=torch.float64)})

    def swapped(name: str, data: bytes) -> bytes:
        if name == "byteorder":
            return b"big"
        return np.frombuffer(data, "<f8").astype(">f8").tobytes() if name == "data/0" else data

    assert read(replaced(good, swapped))["a"].tolist() == [0, 1, 2, 3, 4]
