"""Reads the tensors of PyTorch's archives without PyTorch and without running what they hold.

Such an archive is a zip: `NAME/data.pkl`, a pickle program that rebuilds nested dictionaries, and
one raw storage per tensor in `NAME/data/`. Python's own unpickler calls what a pickle names. Here
the program is interpreted instead: only the few instructions that build containers and refer to
tensors exist, and anything else ends the reading. No name in a file is ever looked up.

What torch.jit.save writes is such an archive too, with code beside it that is not read: a module is
the dictionary of its attributes.
"""

import math
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PROGRAM_BYTES = 16 * 2**20  # data.pkl of the largest published file has well under 1 MB

DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class TensorFileError(ValueError):
    """A file that is no archive of tensors; the message is for the user."""


@dataclass(frozen=True)
class Name:
    """A global that a pickle names. It stands for itself and is never imported."""

    path: str


@dataclass(frozen=True)
class Storage:
    key: str
    dtype: str


@dataclass(frozen=True)
class TensorRef:
    """A tensor that has not been read yet: where its numbers lie, counted in items."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


REBUILD_TENSOR = Name("torch._utils _rebuild_tensor_v2")
CONTAINERS = (Name("collections OrderedDict"), Name("collections Counter"))  # read as dict
STORAGES = {Name(f"torch {name}"): dtype for name, dtype in DTYPES.items()}
TYPED = tuple(  # of TorchScript: the call's first argument is the value
    Name(f"torch.jit._pickle {name}")
    for name in ("restore_type_tag", "build_intlist", "build_doublelist", "build_boollist")
)
KNOWN_NAMES = {REBUILD_TENSOR, *CONTAINERS, *STORAGES, *TYPED}
SCRIPTED = ("__torch__.", "__torch__ ")  # how names of a TorchScript archive's own classes begin


class Module(dict[str, Any]):
    """A TorchScript module: its attributes by name, other modules among them."""


class TensorArchive:
    """One open archive. `contents` is the saved object with a `TensorRef` for every tensor."""

    def __init__(self, file: Path) -> None:
        """Raises TensorFileError for anything but an archive of containers and tensors."""
        self.file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise TensorFileError(f"{file} is no archive of PyTorch's ({error}).") from error
        try:
            self._members = {member.filename: member for member in self._zip.infolist()}
            self._root = self._find_root()
            order = self._read(f"{self._root}byteorder") if self._has("byteorder") else b"little"
            self._byte_order = ">" if order == b"big" else "<"
            self.contents: Any = _Program(self._read(f"{self._root}data.pkl"), file).run()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> "TensorArchive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()

    def array(self, ref: TensorRef) -> NDArray:
        """The tensor's own copy of its numbers. Raises TensorFileError where they do not fit."""
        member = f"{self._root}data/{ref.storage.key}"
        items = np.frombuffer(
            self._whole_items(member, ref.storage), self._byte_order + ref.storage.dtype
        )
        if not _fits(ref, items.size):
            raise TensorFileError(
                f"{self.file} is damaged: a tensor reaches beyond its {items.size} numbers."
            )
        strides = tuple(step * items.itemsize for step in ref.strides)
        view = np.lib.stride_tricks.as_strided(
            items[ref.offset :], ref.shape, strides, writeable=False
        )
        return np.array(view, dtype=np.dtype(ref.storage.dtype), order="C")

    def _whole_items(self, member: str, storage: Storage) -> bytes:
        data = self._read(member)
        if len(data) % np.dtype(storage.dtype).itemsize:
            raise TensorFileError(f"{self.file} is damaged: '{member}' is cut off.")
        return data

    def _find_root(self) -> str:
        roots = [name.removesuffix("data.pkl") for name in self._members if _is_program(name)]
        if len(roots) != 1:
            raise TensorFileError(f"{self.file} is a zip file, but no archive of PyTorch's.")
        return roots[0]

    def _has(self, name: str) -> bool:
        return self._root + name in self._members

    def _read(self, name: str) -> bytes:
        """A member's bytes. torch.save compresses nothing, so sizes in the zip are true sizes."""
        member = self._members.get(name)
        if member is None:
            raise TensorFileError(f"{self.file} is incomplete: it has no '{name}'.")
        stored = member.compress_type == zipfile.ZIP_STORED
        program = _is_program(name)
        if not stored or (program and member.file_size > MAX_PROGRAM_BYTES):
            raise TensorFileError(f"{self.file}: '{name}' is not as torch.save writes it.")
        try:
            return self._zip.read(member)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
            raise TensorFileError(f"{self.file} is damaged at '{name}': {error}") from error


def _is_program(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/data.pkl")


def _fits(ref: TensorRef, num_items: int) -> bool:
    """Whether a tensor lies in its storage and is not blown up from fewer numbers."""
    numbers = (ref.offset, *ref.shape, *ref.strides)
    if len(ref.shape) != len(ref.strides) or len(ref.shape) > 8 or min(numbers) < 0:
        return False
    if 0 in ref.shape:
        return ref.offset <= num_items
    last = sum((n - 1) * step for n, step in zip(ref.shape, ref.strides, strict=True))
    return ref.offset + last < num_items and math.prod(ref.shape) <= num_items


class _Program:
    """Interpreter of the pickle instructions that containers and tensors need."""

    def __init__(self, program: bytes, file: Path) -> None:
        self._program, self._file = program, file
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        try:
            for opcode, argument, _ in pickletools.genops(self._program):
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except TensorFileError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            raise TensorFileError(f"{self._file} is damaged: {error!r}") from error
        raise TensorFileError(f"{self._file} is damaged: its list of tensors has no end.")

    def _step(self, name: str, argument: Any) -> None:
        if name in IGNORED:
            return
        if name in PUSH_ARGUMENT:
            self._stack.append(argument)
        elif name in PUSH_NEW:
            self._stack.append(PUSH_NEW[name]())
        elif name in TUPLE_SIZES:
            self._collect_tuple(TUPLE_SIZES[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif name in STEPS:
            STEPS[name](self, argument)
        else:
            raise self._refusal(f"the instruction {name}")

    def _refusal(self, what: str) -> TensorFileError:
        return TensorFileError(
            f"{self._file} asks for {what}, which no file of weights needs. It was not opened; "
            "nothing in it was run."
        )

    def _above_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _mark(self, _argument: Any) -> None:
        self._marks.append(len(self._stack))

    def _collect_tuple(self, size: int) -> None:
        if size > len(self._stack):
            raise IndexError("tuple of more than there is")
        items = self._stack[len(self._stack) - size :]
        del self._stack[len(self._stack) - size :]
        self._stack.append(tuple(items))

    def _tuple(self, _argument: Any) -> None:
        self._stack.append(tuple(self._above_mark()))

    def _append(self, _argument: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _argument: Any) -> None:
        self._extend(self._above_mark())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise TypeError("items for what is no list")
        self._stack[-1].extend(items)

    def _set_item(self, _argument: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _set_items(self, _argument: Any) -> None:
        self._update(self._above_mark())

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise TypeError("keys for what is no dictionary")
        if not all(type(key) in (str, int) for key in items[::2]):
            raise TypeError("a key that is neither a word nor a number")
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def _global(self, argument: str) -> None:
        name = Name(argument)
        if name not in KNOWN_NAMES and not argument.startswith(SCRIPTED):
            raise self._refusal(f"'{argument.replace(' ', '.')}'")
        self._stack.append(name)

    def _reduce(self, _argument: Any) -> None:
        """The calls that exist: a tensor, a dictionary empty or from another one, a typed value."""
        arguments, function = self._stack.pop(), self._stack.pop()
        if function == REBUILD_TENSOR:
            self._stack.append(_tensor(*arguments[:4]))
        elif function in CONTAINERS and (not arguments or type(arguments[0]) is dict):
            self._stack.append(dict(*arguments))
        elif function in TYPED and isinstance(arguments[0], list | dict):
            self._stack.append(arguments[0])
        else:
            raise self._refusal("a call")

    def _new_module(self, _argument: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if arguments != () or not isinstance(kind, Name) or not kind.path.startswith(SCRIPTED):
            raise self._refusal("an object")
        self._stack.append(Module())

    def _build(self, _argument: Any) -> None:
        """A module's attributes. Those of a state dict, such as `_metadata`, are not needed."""
        attributes = self._stack.pop()
        if isinstance(self._stack[-1], Module):
            if not isinstance(attributes, dict):
                raise TypeError("attributes that have no names")
            self._stack[-1].update(attributes)
        elif not isinstance(self._stack[-1], dict):
            raise self._refusal("attributes of something else than a dictionary")

    def _persistent(self, _argument: Any) -> None:
        kind, storage_type, key, _device, _num_items = self._stack.pop()
        if kind != "storage" or not isinstance(storage_type, Name) or not isinstance(key, str):
            raise self._refusal("an object outside its list of tensors")
        if storage_type not in STORAGES:
            raise self._refusal(f"'{storage_type.path}' where numbers belong")
        self._stack.append(Storage(key, STORAGES[storage_type]))


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> TensorRef:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(number) is int for number in numbers):
        raise TypeError("a tensor that refers to no storage")
    return TensorRef(storage, offset, tuple(shape), tuple(strides))


IGNORED = ("PROTO", "FRAME")
PUSH_ARGUMENT = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE"),
)
PUSH_NEW = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
STEPS = {
    "MARK": _Program._mark,
    "TUPLE": _Program._tuple,
    "APPEND": _Program._append,
    "APPENDS": _Program._appends,
    "SETITEM": _Program._set_item,
    "SETITEMS": _Program._set_items,
    "GLOBAL": _Program._global,
    "REDUCE": _Program._reduce,
    "NEWOBJ": _Program._new_module,
    "BUILD": _Program._build,
    "BINPERSID": _Program._persistent,
}
