"""One request on the web, with its answer or the reason why there is none.

Proxies and certificates are those of the environment: `https_proxy`, `no_proxy`, `SSL_CERT_FILE`,
`SSL_CERT_DIR`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`.
"""

import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPCookieProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from weights_fetcher.confirm_page import MAX_PAGE, confirmation, looks_like_page, title_of
from weights_fetcher.errors import FetchError

AGENT = "MoMask-Blender"
MAX_CONFIRMATIONS = 2
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524)
OWN_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SYSTEM_BUNDLES = (  # where Blender's own Python does not look
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class SourceError(Exception):
    """Why a source gave nothing. `wait`: seconds that the host asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class PassingError(SourceError):
    """It may work in a moment."""


class LastingError(SourceError):
    """This source will not give the file now."""


class StartOverError(SourceError):
    """The host does not go on from where we are."""


class _Redirects(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise LastingError(f"{req.host} sends us on to an unencrypted address ({newurl[:80]})")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Web:
    """Opens files behind addresses; keeps cookies, as confirmation pages want them."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        handlers = (_Redirects(), HTTPSHandler(context=trust()), HTTPCookieProcessor(CookieJar()))
        self._opener: OpenerDirector = build_opener(*handlers)

    def open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The answer whose body is the file. Raises SourceError of a fitting kind."""
        address = url
        for _ in range(MAX_CONFIRMATIONS + 1):
            with in_words(address):
                answer = self._ask(address, headers)
                if not is_page(answer):
                    return answer
                page = answer.read(MAX_PAGE).decode("utf-8", "replace")
            following = confirmation(page, answer.geturl())
            if following is None:
                title = title_of(page)
                raise LastingError(
                    f"{host_of(url)} answers with a web page instead of the file"
                    + (f", '{title}'" if title else "")
                )
            address = following
        raise LastingError(f"{host_of(url)} asks for confirmation again and again")

    def _ask(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if urlsplit(url).scheme not in ("http", "https"):
            raise LastingError(f"'{url[:80]}' is no address on the web")
        request = Request(url, headers={"User-Agent": AGENT, **headers})  # noqa: S310 checked
        return self._opener.open(request, timeout=self._timeout)


def is_page(answer: http.client.HTTPResponse) -> bool:
    if answer.status != http.HTTPStatus.OK:
        return False
    kind = answer.headers.get_content_type()
    return kind in ("text/html", "application/xhtml+xml") or looks_like_page(answer.peek(512))


@contextmanager
def in_words(url: str) -> Iterator[None]:
    """What goes wrong on the way as SourceError of a fitting kind."""
    host = host_of(url)
    try:
        yield
    except HTTPError as error:
        raise _answered(error, host) from error
    except URLError as error:
        raise _unreached(error.reason, host) from error
    except http.client.IncompleteRead as error:
        raise PassingError(f"{host} broke off") from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreached(error, host) from error
    except ValueError as error:  # an address that is none
        raise LastingError(f"{host} cannot be asked: {error}") from error


def _answered(error: HTTPError, host: str) -> SourceError:
    words = f"{host} answers {error.code} {_first_line(error.reason)}"
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return StartOverError(words)
    if error.code in WORTH_ANOTHER_TRY:
        return PassingError(words, wait=_seconds(error.headers.get("Retry-After", "")))
    return LastingError(words)


def _first_line(reason: object) -> str:
    """urllib's words for circles of redirects are several lines."""
    return str(reason).partition("\n")[0].strip()


def _seconds(retry_after: str) -> float:
    """A number of seconds or a date, as the host likes."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def _unreached(reason: BaseException | str, host: str) -> SourceError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return LastingError(
            f"{host} shows a certificate that is not trusted here ({reason.verify_message}). "
            "Behind a company's proxy, set SSL_CERT_FILE to the company's certificates"
        )
    if isinstance(reason, socket.gaierror) and reason.errno != socket.EAI_AGAIN:
        return LastingError(f"{host} cannot be found; is this computer online?")
    if isinstance(reason, TimeoutError):
        return PassingError(f"{host} does not answer in time")
    words = reason.strerror or str(reason) if isinstance(reason, OSError) else str(reason)
    return PassingError(f"{host} cannot be reached ({words or type(reason).__name__})")


def trust() -> ssl.SSLContext:
    """Certificates of the environment, of the system, or of Blender's own `certifi`."""
    chosen = next((os.environ[name] for name in OWN_BUNDLES if os.environ.get(name)), "")
    if chosen and Path(chosen).is_dir():
        return ssl.create_default_context(capath=chosen)
    try:
        context = ssl.create_default_context(cafile=chosen or None)
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"Cannot read the certificates in {chosen}: {error}") from error
    paths = ssl.get_default_verify_paths()
    has_any = chosen or context.get_ca_certs() or paths.cafile or paths.capath
    if not has_any and (bundle := _bundle()):
        context.load_verify_locations(cafile=bundle)
    return context


def _bundle() -> str | None:
    for file in SYSTEM_BUNDLES:
        if Path(file).is_file():
            return file
    try:
        import certifi  # Blender ships it
    except ImportError:
        return None
    return certifi.where()


def host_of(url: str) -> str:
    return urlsplit(url).hostname or url[:80]
