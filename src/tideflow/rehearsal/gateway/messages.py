"""Requests and answers, as they go from one part of the way to the next."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from multidict import CIMultiDict


class NoAnswerError(Exception):
    """The connection ends without an answer, as when nobody listens behind a load balancer."""


class NoConnectionError(Exception):
    """What was to be asked cannot be reached: nothing is ready, nobody listens, or nobody answers in time."""

    def __init__(self, reason: Literal["nothing ready", "refused", "timed out"]) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request; ``target`` is the path with the query."""

    method: str
    target: str
    headers: CIMultiDict[str]
    scheme: str = "http"
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def authority(self) -> str:
        """The host that is asked for, with its port if it has one."""
        return self.headers.get("Host", "")

    @property
    def host(self) -> str:
        """The host that is asked for, without its port and in small letters."""
        name, colon, port = self.authority.rpartition(":")
        return (name if colon and port.isdecimal() else self.authority).lower()


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: bytes = b""


def text(status: int, said: str, **headers: str) -> Answer:
    """Return an answer in plain text, as Envoy's own are."""
    return Answer(status, CIMultiDict({"Content-Type": "text/plain", **_headers(headers)}), said.encode())


def page(status: int, title: str, content: str = "", **headers: str) -> Answer:
    """Return a page; ``content`` is HTML."""
    whole = f"<!doctype html><title>{html.escape(title)}</title><h1>{html.escape(title)}</h1>{content}"
    return Answer(
        status, CIMultiDict({"Content-Type": "text/html; charset=utf-8", **_headers(headers)}), whole.encode()
    )


def plain(status: int, **headers: str) -> Answer:
    """Return one of nginx's own pages, which say the status and nothing else."""
    return page(status, f"{status} {HTTPStatus(status).phrase}", "<hr>nginx", **headers)


def moved(status: int, where: str) -> Answer:
    """Return a redirect."""
    return Answer(status, CIMultiDict({"Location": where}))


def _headers(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
