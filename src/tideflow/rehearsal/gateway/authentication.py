"""RequestAuthentications: whose token a request has, and which headers tell it to what is behind."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from tideflow.rehearsal.gateway.messages import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multidict import CIMultiDict

    from tideflow.rehearsal.gateway.firewall import Object
    from tideflow.rehearsal.gateway.issuer import Issuer
    from tideflow.rehearsal.gateway.messages import Answer

_DEFAULT = ({"name": "Authorization", "prefix": "Bearer "},)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A token that is no good: what is answered."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.answer: Answer = text(401, said, WWW_Authenticate='Bearer error="invalid_token"')


def authenticated(
    policies: Iterable[Object], headers: CIMultiDict[str], issuer: Issuer | None
) -> tuple[dict[str, Any], CIMultiDict[str]]:
    """Return what the token of a request says, if it has one, and the headers with what is told of it.

    Headers that tell it are not taken from outside. Raises `Refusal`.
    """
    rules = [rule for policy in policies for rule in policy["spec"].get("jwtRules") or ()]
    result = headers.copy()
    for output in _outputs(rules):
        result.popall(output["header"], None)
    given = {token for rule in rules for token in _tokens(rule, headers)}
    if not given:
        return {}, result
    token = given.pop()
    issued_by = _unchecked(token).get("iss", "")
    rule = next((rule for rule in rules if rule.get("issuer") == issued_by), None)
    if rule is None:
        raise Refusal("Jwt issuer is not configured")
    if issuer is None or issuer.accounts.issuer != issued_by:
        raise Refusal("Jwks remote fetch is failed")
    claims = issuer.keys.claims(token)
    if claims is None:
        raise Refusal("Jwt is expired or its verification fails")
    audiences = rule.get("audiences")
    if audiences and claims.get("aud") not in audiences:
        raise Refusal("Audiences in Jwt are not allowed")
    for output in rule.get("outputClaimToHeaders") or ():
        if output["claim"] in claims:
            result[output["header"]] = str(claims[output["claim"]])
    return claims, result


def _outputs(rules: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, str]]:
    for rule in rules:
        yield from rule.get("outputClaimToHeaders") or ()


def _tokens(rule: Mapping[str, Any], headers: CIMultiDict[str]) -> Iterator[str]:
    for place in rule.get("fromHeaders") or _DEFAULT:
        prefix = place.get("prefix", "")
        for value in headers.getall(place["name"], ()):
            if value.startswith(prefix):
                yield value[len(prefix) :]


def _unchecked(token: str) -> dict[str, Any]:
    """Return what a token says of itself."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError) as error:
        raise Refusal(
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
        ) from error
    return found if isinstance(found, dict) else {}
