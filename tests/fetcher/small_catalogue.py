"""Catalogues of a test's own."""

import json
from pathlib import Path
from typing import Any

from tests.fetcher.faulty_server import sha256


def write_catalogue(file: Path, models: dict[str, dict[str, Any]]) -> Path:
    """Models whose licence is free, unless they say `licence = "strict"`."""
    lines = []
    for name, must in (("free", "false"), ("strict", "true")):
        lines += [f"[licences.{name}]", f'name = "{name}"', f"accept = {must}"]
        lines += [f'means = "It is {name}."', 'text = "Terms."']
    for name, given in models.items():
        fields = {"title": name, "about": name, "licence": "free"} | given
        packages = fields.pop("packages")
        lines += [f"[models.{name}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
        for package in packages:
            files = ", ".join(
                "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in each.items()) + "}"
                for each in package["files"]
            )
            lines += [f"[[models.{name}.packages]]", f"files = [{files}]"]
            lines += [
                f"{key} = {json.dumps(value)}" for key, value in package.items() if key != "files"
            ]
    file.write_text("\n".join(lines) + "\n")
    return file


def entry(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "bytes": len(content), "sha256": sha256(content)}
