"""Web pages that come instead of a file, as Google Drive's "cannot scan this file for viruses"."""

from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

MAX_PAGE = 1 << 20  # bytes of a page that are looked at


def looks_like_page(start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def confirmation(page: str, address: str) -> str | None:
    """Where the page's download button leads, if that is a plain form or link of the same hosts."""
    parsed = _read(page)
    candidates = [form.address(address) for form in parsed.forms if form.is_plain]
    candidates += [urljoin(address, link) for link in parsed.links]
    return next((each for each in candidates if _is_confirming(each, address)), None)


def title_of(page: str) -> str:
    return " ".join(_read(page).title.split())[:80]


def _is_confirming(candidate: str, address: str) -> bool:
    there, here = urlsplit(candidate), urlsplit(address)
    same_scheme = there.scheme in ("https", here.scheme)
    return same_scheme and "confirm=" in there.query and _family(there) == _family(here)


def _family(address) -> tuple[str, ...]:
    """The last two labels of a host's name; an address in numbers as a whole."""
    labels = (address.hostname or "").split(".")
    return tuple(labels if labels[-1].isdigit() else labels[-2:])


class _Form:
    def __init__(self, action: str, method: str) -> None:
        self.action, self.is_plain = action, method.lower() in ("", "get")
        self.inputs: list[tuple[str, str]] = []

    def address(self, base: str) -> str:
        parts = urlsplit(urljoin(base, self.action))
        query = urlencode(self.inputs) if self.inputs else parts.query
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[_Form] = []
        self.links: list[str] = []
        self.title, self._in_title = "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(_Form(values.get("action", ""), values.get("method", "")))
        elif tag == "input" and self.forms and values.get("name"):
            self.forms[-1].inputs.append((values["name"], values.get("value", "")))
        elif tag == "a" and values.get("href"):
            self.links.append(values["href"])
        self._in_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False


def _read(page: str) -> _Page:
    parsed = _Page()
    parsed.feed(page)
    return parsed
