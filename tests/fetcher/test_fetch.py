"""Whatever a host does, what is taken is the published file, whole; a second run goes on."""

import random
import shutil
import socket
import ssl
import subprocess
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.fetcher.faulty_server import (
    Server,
    cut,
    page,
    redirect,
    send,
    status,
    trickle,
    whole,
)
from weights_fetcher.errors import FetchError

CORRUPT = 123_456


@pytest.fixture
def refused(tmp_path: Path):
    """Fetch in vain: nothing is taken. -> the message, in one line."""

    def fetch(fetcher, name="net") -> str:
        with pytest.raises(FetchError) as stopped:
            fetcher.fetch(name, False)
        assert not list((tmp_path / "weights").rglob("*.bin"))
        assert "\n" not in str(stopped.value)
        return str(stopped.value)

    return fetch


def fetched(fetcher, content: bytes, name="net") -> None:
    folder = fetcher.fetch(name, False)
    assert (folder / "net.bin").read_bytes() == content
    assert not (folder / ".incoming").exists()
    assert not fetcher.store.missing(fetcher.catalogue.find(name))


def corrupt(content: bytes) -> bytes:
    return content[:CORRUPT] + bytes([content[CORRUPT] ^ 1]) + content[CORRUPT + 1 :]


def test_a_good_host_is_asked_once(server: Server, plain, fetcher, notes, content):
    server.answers["/net"] = whole(content)
    fetched(fetcher(plain("/net")), content)
    fetched(fetcher(plain("/net")), content)
    assert server.asked == [("/net", "")], "what is there is not fetched again"
    shares = [done / total for phase, done, total in notes.phases if "Downloading" in phase]
    assert shares == sorted(shares) and shares[-1] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_at_any_byte_is_resumed_there(server: Server, plain, fetcher, content, seed):
    ends = sorted(random.Random(seed).sample(range(1, len(content)), 4))
    server.answers["/net"] = cut(content, ends)
    fetched(fetcher(plain("/net")), content)
    assert [asked for _, asked in server.asked] == ["", *(f"bytes={end}-" for end in ends)]


def test_a_host_without_ranges_begins_again(server: Server, plain, fetcher, content):
    server.answers["/net"] = cut(content, [400_000, 500_000], ranges=False)
    fetched(fetcher(plain("/net")), content)


def test_a_host_that_always_cuts_at_the_same_byte_is_given_up(
    server: Server, plain, fetcher, content, refused
):
    server.answers["/net"] = cut(content, [1000] * 99, ranges=False)
    assert "broke off after 1 kB" in refused(fetcher(plain("/net")))
    assert len(server.asked) == 4, "once that brought something, three times that did not"


def test_a_file_that_changed_meanwhile_is_not_patched_together(
    server: Server, plain, fetcher, content
):
    old = corrupt(content)
    server.answers["/net"] = lambda handler: (
        send(handler, old, end=300_000, etag='"old"')
        if handler.number == 1
        else send(handler, content)
    )
    fetched(fetcher(plain("/net")), content)
    assert len(server.asked) == 2, "the host was told which version it should go on with"


def test_pieces_that_do_not_fit_are_fetched_anew(server: Server, plain, fetcher, content):
    """A host that says nothing of versions, and whose first piece was wrong."""
    old = corrupt(content)
    server.answers["/net"] = lambda handler: (
        send(handler, old, end=300_000, etag="")
        if handler.number == 1
        else send(handler, content, etag="")
    )
    fetched(fetcher(plain("/net")), content)
    assert [asked for _, asked in server.asked] == ["", "bytes=300000-", ""]


@pytest.mark.parametrize("change", [-7, 7])
def test_a_wrong_length_is_refused(server: Server, plain, fetcher, content, refused, change):
    wrong = content[:change] if change < 0 else content + b"1234567"
    server.answers["/net"] = whole(wrong)
    assert f"offers {len(wrong)} bytes instead of {len(content)}" in refused(fetcher(plain("/net")))


def test_more_than_was_promised_is_refused(server: Server, plain, fetcher, content, refused):
    def endless(handler) -> None:
        handler.head(200)
        for _ in range(40):
            handler.wfile.write(content)

    server.answers["/net"] = endless
    assert "more than 600000 bytes" in refused(fetcher(plain("/net")))


def test_no_length_and_a_cut_are_noticed(server: Server, plain, fetcher, content, refused):
    def short(handler) -> None:
        handler.head(200)
        handler.wfile.write(content[:200_000])

    server.answers["/net"] = short
    assert "broke off" in refused(fetcher(plain("/net")))


def test_a_corrupted_byte_is_refused_and_another_mirror_taken(
    server: Server, plain, fetcher, content, refused
):
    server.answers["/bad"] = whole(corrupt(content))
    server.answers["/good"] = whole(content)
    assert "not the published file" in refused(fetcher(plain("/bad")))
    fetched(fetcher(plain("/bad", "/good")), content)


def test_a_missing_file_is_taken_from_the_next_mirror(
    server: Server, plain, fetcher, content, refused
):
    server.answers["/net"] = whole(content)
    message = refused(fetcher(plain("/gone")))
    assert "404" in message and "import the file" in message
    assert len(server.asked) == 1, "404 is not asked again"
    fetched(fetcher(plain("/gone", "/net")), content)


def test_a_mirror_goes_on_where_another_one_broke_off(server: Server, plain, fetcher, content):
    server.answers["/a"] = lambda handler: (
        send(handler, content, end=350_000) if handler.number == 1 else status(500)(handler)
    )
    server.answers["/b"] = whole(content)
    fetched(fetcher(plain("/a", "/b")), content)
    assert server.asked[-1] == ("/b", "bytes=350000-")


@pytest.mark.parametrize(("code", "is_date"), [(429, False), (503, False), (503, True)])
def test_a_busy_host_is_waited_for(server: Server, plain, fetcher, content, *, code, is_date):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1.5), usegmt=True)
    header = soon if is_date else "1"
    began = time.monotonic()
    server.answers["/net"] = status(code, {"Retry-After": header}, then=whole(content))
    fetched(fetcher(plain("/net")), content)
    assert len(server.asked) == 2 and time.monotonic() - began > 0.4


def test_a_host_that_wants_to_be_left_alone_for_long_is(server: Server, plain, fetcher, refused):
    server.answers["/net"] = status(503, {"Retry-After": "3600"})
    assert "wait for 60 minutes" in refused(fetcher(plain("/net")))
    assert len(server.asked) == 1


def test_redirects_are_followed_but_not_in_circles(
    server: Server, plain, fetcher, content, refused
):
    server.answers["/round"] = redirect("/round")
    assert "infinite loop" in refused(fetcher(plain("/round")))
    for n in range(4):
        server.answers[f"/{n}"] = redirect(f"/{n + 1}")
    server.answers["/4"] = cut(content, [250_000])
    fetched(fetcher(plain("/0")), content)
    assert server.asked[-1] == ("/4", "bytes=250000-")


def test_a_redirect_leads_nowhere_but_to_the_web(server: Server, plain, fetcher, refused):
    server.answers["/net"] = redirect("file:///etc/passwd")
    refused(fetcher(plain("/net")))


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_page_instead_of_the_file_is_told(server: Server, plain, fetcher, refused, kind):
    server.answers["/net"] = page("<!DOCTYPE html><title>Quota exceeded</title>Sorry", kind)
    message = refused(fetcher(plain("/net")))
    assert "web page instead of the file, 'Quota exceeded'" in message
    assert f"save {server.address}/net with a browser" in message


FORM = (
    '<html><title>Virus scan warning</title><form id="download-form" action="{}" method="get">'
    '<input type="submit" value="Download anyway"><input type="hidden" name="id" value="a b">'
    '<input type="hidden" name="confirm" value="t"></form></html>'
)
LINK = '<html><a href="/help">Help</a><a href="{}?confirm=abc&amp;id=1">Download anyway</a></html>'


@pytest.mark.parametrize(
    ("text", "wanted"), [(FORM, "/file?id=a+b&confirm=t"), (LINK, "/file?confirm=abc&id=1")]
)
def test_a_confirmation_page_is_confirmed(server: Server, plain, fetcher, content, text, wanted):
    server.answers["/net"] = page(text.format("/file"))
    server.answers["/file"] = cut(content, [300_000])
    fetched(fetcher(plain("/net")), content)
    assert server.asked[1] == (wanted, "")
    assert server.asked[-1] == (wanted, "bytes=300000-"), "the confirmed file is gone on with"


def test_confirmation_is_given_to_the_same_hosts_only(server: Server, plain, fetcher, refused):
    other = Server()
    try:
        elsewhere = other.address.replace("127.0.0.1", "localhost")
        server.answers["/net"] = page(FORM.format(f"{elsewhere}/file"))
        assert "web page" in refused(fetcher(plain("/net")))
        server.answers["/net"] = page(FORM.format("/file").replace("get", "post"))
        assert "web page" in refused(fetcher(plain("/net")))
        server.answers["/net"] = page(FORM.format("/net"))
        assert "again and again" in refused(fetcher(plain("/net")))
        assert not other.asked
    finally:
        other.close()


def test_a_stall_ends_in_time_and_the_next_run_goes_on(
    server: Server, plain, fetcher, content, refused
):
    server.answers["/net"] = trickle(content, pause=30.0, piece=200_000)
    assert "does not answer in time" in refused(fetcher(plain("/net")))
    server.answers["/net"] = whole(content)
    fetched(fetcher(plain("/net")), content)
    assert server.asked[-1][1] == "bytes=200000-"


def test_a_slow_host_is_borne_a_trickling_one_is_not(
    server: Server, plain, fetcher, content, refused
):
    server.answers["/net"] = trickle(content, pause=0.1, piece=80_000)
    fetched(fetcher(plain("/net")), content)
    shutil.rmtree(fetcher(plain("/net")).store.root)
    server.answers["/net"] = trickle(content, pause=0.1, piece=10)
    assert "too slowly" in refused(fetcher(plain("/net")))


def test_a_host_that_is_not_there(plain, fetcher, refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/net"
    assert "cannot be reached" in refused(fetcher(plain(nobody)))
    assert "no address on the web" in refused(fetcher(plain("ftp://127.0.0.1/net")))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1, which nobody trusts."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl, which makes a certificate for this test, is not installed")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", file, "-days", "2"]
        + ["-out", f"{file}.crt", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    file.write_bytes(file.read_bytes() + Path(f"{file}.crt").read_bytes())
    return file


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_tls_needs_a_certificate_that_is_trusted(
    certificate, plain, fetcher, content, refused, *, monkeypatch, variable
):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    host = Server(context)
    host.answers["/net"] = whole(content)
    host.answers["/down"] = redirect(host.address.replace("https", "http") + "/net")
    try:
        message = refused(fetcher(plain(f"{host.address}/net")))
        assert "not trusted" in message and "SSL_CERT_FILE" in message
        monkeypatch.setenv(variable, str(certificate))
        assert "unencrypted" in refused(fetcher(plain(f"{host.address}/down")))
        fetched(fetcher(plain(f"{host.address}/net")), content)
    finally:
        host.close()


def test_plain_text_where_tls_is_expected(server: Server, plain, fetcher, refused):
    assert "cannot be reached" in refused(
        fetcher(plain(server.address.replace("http", "https") + "/net"))
    )


def test_the_environments_proxy_is_used(server: Server, plain, fetcher, content, monkeypatch):
    server.answers["/net"] = whole(content)
    monkeypatch.setenv("http_proxy", server.address)
    fetched(fetcher(plain("http://weights.example/net")), content)
    assert server.asked == [("http://weights.example/net", "")]


def test_a_full_disk_is_noticed_first(
    server: Server, plain, fetcher, content, refused, monkeypatch
):
    server.answers["/net"] = whole(content)
    monkeypatch.setattr("weights_fetcher.store.Store.free_bytes", lambda _: len(content) - 1)
    message = refused(fetcher(plain("/net")))
    assert "needs 600 kB" in message and "Free some space" in message
    assert not server.asked
