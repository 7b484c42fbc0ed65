"""The floor: every object written by server-side apply, over 8 connections, and nothing else done.

``python floor.py KUBECONFIG FILE``, where the file has one object, as JSON, in each line. Types and
namespaces go first; what is refused, since something it needs is not there yet, is written again after all
others. No tool that has to write every object can be much faster than this.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tideflow.clients.resources import DISCOVERY, Resource, from_discovery

CONNECTIONS = 8
_FIRST = ("Namespace", "CustomResourceDefinition")
_PATIENCE = 120.0  # seconds


class Floor:
    """Writes objects to the server of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        found = yaml.load(kubeconfig.read_text(), yaml.CSafeLoader)
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        self._headers = {"authorization": f"Bearer {user['token']}"}
        self._pool = urllib3.connection_from_url(
            cluster["server"], maxsize=CONNECTIONS, ca_certs=cluster["certificate-authority"], retries=False
        )
        self._types: dict[tuple[str, str], Resource] = {}
        for root in ("/api", "/apis"):
            answer = self._pool.request("GET", root, headers={**self._headers, "accept": DISCOVERY})
            for resource in from_discovery(answer.json()):
                self._types.setdefault((resource.api_version, resource.kind), resource)

    def write_all(self, lines: list[bytes]) -> None:
        """Write the objects; raises ``SystemExit`` if some are refused again and again."""
        left = sorted(lines, key=lambda line: json.loads(line)["kind"] not in _FIRST)
        for line in left:
            self._learn(json.loads(line))
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            give_up = time.monotonic() + _PATIENCE
            while left:
                answers = list(pool.map(self._write, left))
                left = [line for line, answer in zip(left, answers, strict=True) if answer]
                if left and time.monotonic() > give_up:
                    raise SystemExit("\n".join(filter(None, answers)))

    def _learn(self, body: dict[str, Any]) -> None:
        """Note the type that a definition defines, which the server does not serve yet."""
        if body["kind"] == "CustomResourceDefinition":
            group, names = body["spec"]["group"], body["spec"]["names"]
            for version in body["spec"]["versions"]:
                namespaced = body["spec"]["scope"] == "Namespaced"
                resource = Resource(group, version["name"], names["kind"], names["plural"], namespaced)
                self._types.setdefault((resource.api_version, resource.kind), resource)

    def _write(self, line: bytes) -> str:
        """Write one object; return what the server has against it."""
        body = json.loads(line)
        resource = self._types[body["apiVersion"], body["kind"]]
        path = resource.path(body["metadata"].get("namespace") or "default", body["metadata"]["name"])
        headers = {**self._headers, "content-type": "application/apply-patch+yaml"}
        answer = self._pool.request(
            "PATCH", f"{path}?fieldManager=floor&force=true", body=line, headers=headers
        )
        return "" if answer.status < 300 else answer.data.decode()


if __name__ == "__main__":
    Floor(Path(sys.argv[1])).write_all(Path(sys.argv[2]).read_bytes().splitlines())
