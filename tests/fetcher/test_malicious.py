"""Archives from strangers: refused in a line, nothing run, nothing written outside the target."""

import io
import random
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.fetcher.faulty_server import Server, whole
from tests.fetcher.small_catalogue import entry, write_catalogue
from weights_fetcher.errors import FetchError, UnfitError
from weights_fetcher.store import copy_hashed

NET = random.Random(1).randbytes(50_000)
OPTIONS = b"a: 1\n"
FOLDER = "t2m/rvq"


def packed(file: Path, entries: dict[str | zipfile.ZipInfo, bytes]) -> bytes:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.read_bytes()


def honest() -> dict[Any, bytes]:
    return {f"{FOLDER}/net.bin": NET, f"{FOLDER}/opt.txt": OPTIONS, "t2m/else.txt": b"not wanted"}


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


@pytest.fixture
def archived(tmp_path: Path, server: Server, fetcher):
    """A catalogue with one archive of two files, one of them without a hash."""
    files = [entry("rvq/net.bin", NET), {"path": "rvq/opt.txt", "bytes": 1000}]
    package = {"archive": "nets.zip", "sources": [f"{server.address}/zip"], "files": files}
    package["folder"] = "t2m"
    return fetcher(write_catalogue(tmp_path / "list.toml", {"net": {"packages": [package]}}))


@pytest.fixture
def inert(archived, server: Server, tmp_path: Path):
    """Fetched and imported, an archive is refused; nothing but our own folder changes."""

    def check(content: bytes, words: str) -> None:
        by_hand = tmp_path / "by_hand.zip"
        by_hand.write_bytes(content)
        server.answers["/zip"] = whole(content)
        before = outside(tmp_path)
        for act in (
            lambda: archived.fetch("net", False),
            lambda: archived.import_from(by_hand, "net"),
        ):
            with pytest.raises(FetchError, match=words) as refused:
                act()
            assert "\n" not in str(refused.value)
            assert outside(tmp_path) == before
            root = archived.store.root
            taken = [each for each in root.rglob("*") if each.suffix in (".bin", ".txt")]
            assert not taken and not any(each.is_symlink() for each in root.rglob("*"))
        assert sum(each.stat().st_size for each in root.rglob("*") if each.is_file()) < 2_000_000

    return check


def outside(folder: Path) -> set[tuple[str, bytes]]:
    return {
        (str(file), file.read_bytes() if file.is_file() else b"")
        for file in folder.rglob("*")
        if "weights" not in file.relative_to(folder).parts
    }


def test_catalogued_files_leave_an_archive_and_no_others(archived, server, tmp_path: Path):
    server.answers["/zip"] = whole(packed(tmp_path / "a.zip", honest()))
    folder = archived.fetch("net", False)
    assert (folder / "t2m/rvq/net.bin").read_bytes() == NET
    names = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    assert names == {"t2m/rvq/net.bin", "t2m/rvq/opt.txt", "SHA256SUMS"}
    (folder / "t2m/rvq/opt.txt").write_bytes(b"a: 2\n")
    model = archived.catalogue.find("net")
    assert [file.tail for file in archived.store.missing(model)] == ["rvq/opt.txt"], "noticed"


@pytest.mark.parametrize("top", ["", "checkpoints/t2m/", "some folder/"])
def test_where_an_archive_keeps_its_files_does_not_matter(archived, tmp_path: Path, top: str):
    entries: dict[Any, bytes] = {f"{top}rvq/net.bin": NET, f"{top}rvq/opt.txt": OPTIONS}
    entries["__MACOSX/rvq/._net.bin"] = b"junk"
    packed(tmp_path / "by hand.zip", entries)
    archived.import_from(tmp_path / "by hand.zip", "net")
    assert not archived.store.missing(archived.catalogue.find("net"))


@pytest.mark.parametrize(
    "name",
    [
        "../outside.bin",
        "/outside.bin",
        "t2m/../../outside.bin",
        "C:/outside.bin",
        "..\\outside.bin",
    ],
)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_names_that_lead_out_are_refused(inert, tmp_path: Path, name: str, is_wanted: bool):
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name.replace("outside", "rvq/net") if is_wanted else name
    inert(packed(tmp_path / "a.zip", honest() | {info: NET}), "write outside its folder")


@pytest.mark.parametrize("name", ["t2m/rvq", f"{FOLDER}/net.bin", "t2m/harmless"])
def test_links_are_refused(inert, tmp_path: Path, name: str):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    info, target = link(name, str(secret))
    entries = {key: value for key, value in honest().items() if key != name}
    inert(packed(tmp_path / "a.zip", entries | {info: target}), "holds a link")


def test_bombs_are_refused_by_what_they_declare(inert, tmp_path: Path):
    huge = bytes(50_000_000)
    content = packed(tmp_path / "a.zip", honest() | {f"{FOLDER}/net.bin": huge})
    assert len(content) < 100_000
    inert(content, "has 50000000 bytes instead of 50000")
    content = packed(tmp_path / "a.zip", honest() | {f"{FOLDER}/opt.txt": huge})
    inert(content, "has 50000000 bytes instead of 1000")


def test_bombs_that_lie_are_refused_while_they_unpack(inert, tmp_path: Path):
    """50 MB behind headers that say 50 kB."""
    huge = bytes(50_000_000)
    content = packed(tmp_path / "a.zip", honest() | {f"{FOLDER}/net.bin": huge})
    lying = content.replace(struct.pack("<I", len(huge)), struct.pack("<I", len(NET)))
    assert lying != content
    inert(lying, "not a whole zip|larger than|not the published")


def test_nothing_is_copied_beyond_what_was_published(tmp_path: Path):
    """A file on a share that grows while it is read."""
    with pytest.raises(UnfitError, match="larger than"):
        copy_hashed(io.BytesIO(NET), tmp_path / "copy", len(NET) - 1)
    assert (tmp_path / "copy").stat().st_size < len(NET)


def test_another_file_under_a_wanted_name_is_refused(inert, tmp_path: Path):
    wrong = NET[:-1] + b"x"
    content = packed(tmp_path / "a.zip", honest() | {f"{FOLDER}/net.bin": wrong})
    inert(content, "is not the published file")


def test_a_wanted_file_that_is_there_twice_is_refused(inert, tmp_path: Path):
    content = packed(tmp_path / "a.zip", honest() | {"other/rvq/net.bin": NET})
    inert(content, "more than once")


@pytest.mark.parametrize("size", [0.3, 0.99])
def test_half_an_archive_is_refused(inert, tmp_path: Path, size: float):
    content = packed(tmp_path / "a.zip", honest())
    inert(content[: int(len(content) * size)], "not a whole zip|holds nothing wanted")


def test_damage_inside_an_archive_is_refused(inert, tmp_path: Path):
    content = bytearray(packed(tmp_path / "a.zip", honest()))
    content[len(content) // 2] ^= 1
    inert(bytes(content), "not a whole zip|not the published")


def test_a_crowd_of_entries_is_refused(inert, tmp_path: Path):
    crowd = {f"{n}": b"" for n in range(10_001)}
    inert(packed(tmp_path / "a.zip", honest() | crowd), "holds 10004 files")


def test_encrypted_entries_are_refused(inert, tmp_path: Path):
    content = bytearray(packed(tmp_path / "a.zip", honest()))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + offset] |= 1
    inert(bytes(content), "encrypted")


def test_an_archive_without_a_wanted_file_is_refused(archived, server, tmp_path: Path):
    server.answers["/zip"] = whole(packed(tmp_path / "a.zip", {f"{FOLDER}/net.bin": NET}))
    with pytest.raises(FetchError, match=r"nets\.zip lacks rvq/opt\.txt"):
        archived.fetch("net", False)
    assert len(archived.store.missing(archived.catalogue.find("net"))) == 2


def test_a_pickle_is_never_opened_by_fetching(archived, tmp_path: Path):
    """Bytes that would run a program are bytes: hashed, and refused by their hash."""
    proof = tmp_path / "executed"
    evil = f"cos\nsystem\n(S'touch {proof}'\ntR.".encode()
    packed(tmp_path / "a.zip", honest() | {f"{FOLDER}/net.bin": evil.ljust(50_000)})
    with pytest.raises(FetchError, match="not the published file"):
        archived.import_from(tmp_path / "a.zip", "net")
    assert not proof.exists()
