"""What refusals of pods mean, in texts that a 1.36 API server writes."""

from __future__ import annotations

import pytest

from tideflow.engine.refusals import in_words

NOBODY = 'Post "https://istiod.istio-system.svc:443/inject": no endpoints available for service "istiod"'
AS_ROOT = 'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true)'
FULL = "requested: pods=1, used: pods=1, limited: pods=1"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            'admission webhook "no.example.org" denied the request: not on a Friday',
            "its pods are refused by the webhook no.example.org: not on a Friday",
        ),
        (
            'Error creating: admission webhook "no.example.org" denied the request without explanation',
            "its pods are refused by the webhook no.example.org",
        ),
        (
            f'Internal error occurred: failed calling webhook "i.istio.io": failed to call webhook: {NOBODY}',
            f"its pods need the webhook i.istio.io, which cannot be called: {NOBODY}",
        ),
        (
            f'pods "d-5f-x" is forbidden: violates PodSecurity "restricted:latest": {AS_ROOT}',
            f"its pods are refused by the PodSecurity level restricted of their namespace: {AS_ROOT}",
        ),
        (
            f'pods "d-5f-x" is forbidden: exceeded quota: small, {FULL}',
            f"its pods are more than the quota small allows: {FULL}",
        ),
        (
            'Error creating: pods "d-" is forbidden: error looking up service account a/b',
            'its pods cannot be made: pods "d-" is forbidden: error looking up service account a/b',
        ),
    ],
)
def test_a_refusal_names_who_refused(message: str, words: str) -> None:
    """And keeps what the one who refused has said."""
    assert in_words(message) == words


def test_a_refusal_is_not_a_page() -> None:
    """PodSecurity names every field of every container."""
    assert len(in_words('violates PodSecurity "restricted:latest": ' + "x" * 5000)) == 300
