"""Refusals of the API server in a person's words: which webhook, PodSecurity level or quota said no."""

from __future__ import annotations

import re

_LONGEST = 300  # characters; PodSecurity lists every field of every container

_MEANINGS = (
    (
        re.compile(
            r'admission webhook "(?P<name>[^"]+)" denied the request'
            r"(?: without explanation)?:? ?(?P<rest>.*)"
        ),
        "its pods are refused by the webhook {name}{rest}",
    ),
    (
        re.compile(
            r'failed calling webhook "(?P<name>[^"]+)": '
            r"(?:failed to call webhook: )?(?P<rest>.*)"
        ),
        "its pods need the webhook {name}, which cannot be called{rest}",
    ),
    (
        re.compile(r'violates PodSecurity "(?P<name>[^":]+)[^"]*": (?P<rest>.*)'),
        "its pods are refused by the PodSecurity level {name} of their namespace{rest}",
    ),
    (
        re.compile(r"exceeded quota: (?P<name>[^,]+), (?P<rest>.*)"),
        "its pods are more than the quota {name} allows{rest}",
    ),
)
"""What the API server writes: k8s.io/apiserver/pkg/admission and k8s.io/pod-security-admission."""


def in_words(message: str) -> str:
    """Return why pods cannot be made, from a ReplicaFailure condition or a FailedCreate event."""
    message = " ".join(message.split())
    for pattern, words in _MEANINGS:
        found = pattern.search(message)
        if found:
            rest = found["rest"].strip()
            return _shortened(words.format(name=found["name"], rest=f": {rest}" if rest else ""))
    return _shortened(f"its pods cannot be made: {message.removeprefix('Error creating: ')}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
