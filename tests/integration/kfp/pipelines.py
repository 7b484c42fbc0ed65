# /// script
# requires-python = ">=3.11"
# dependencies = ["kfp==2.17.0"]
# ///
"""Reach Kubeflow Pipelines from outside, as docs/access.md says; prints what was answered, as JSON.

It takes an environment of its own, as kfp needs older packages than Tideflow: ``uv run --script`` makes it.
"""

import json
import os
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

import kfp
import kfp_server_api
import requests

_OF_THIS_MACHINE = ".localhost"


def cookie_of(url: str, email: str, password: str) -> str:
    """Log in, and return the session's cookie."""
    with requests.Session() as session:
        form = session.get(f"{url}/oauth2/start?rd=%2F", timeout=60)
        session.post(form.url, data={"login": email, "password": password}, timeout=60).raise_for_status()
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)


def client_of(url: str, cookie: str, namespace: str) -> kfp.Client:
    """Return the client for a session, and for a Profile's namespace."""
    return kfp.Client(
        host=f"{url}/pipeline",
        cookies=cookie,
        namespace=namespace,
        ssl_ca_cert=os.environ.get("REQUESTS_CA_BUNDLE"),
    )


def main(url: str, namespace: str) -> dict[str, Any]:
    """Ask whether it is there, and for what is in the namespace."""
    given = os.environ
    cookie = given.get("KUBEFLOW_COOKIE")
    if cookie is None:
        try:
            cookie = cookie_of(url, given["KUBEFLOW_USER"], given["KUBEFLOW_PASSWORD"])
        except requests.HTTPError as error:
            return {"login": error.response.status_code}
    client = client_of(url, cookie, namespace)
    return {
        "healthz": _said(client._healthz_api.healthz_service_get_healthz),  # get_kfp_healthz tries again
        "experiments": _said(client.list_experiments),
        "pipelines": _said(client.list_pipelines),
        "runs": _said(client.list_runs),
        "made": _said(lambda: client.create_experiment("one")),
    }


def _said(ask: Callable[[], Any]) -> dict[str, Any]:
    """Return what was answered, or how it was refused."""
    try:
        answered: dict[str, Any] = ask().to_dict()
    except kfp_server_api.ApiException as error:
        return {"status": error.status, "said": str(error.body)[:200]}
    return {name: value for name, value in answered.items() if value is not None}


def _find_this_machine() -> None:
    """Have names below ``localhost`` be this machine, as browsers do; not every resolver knows that."""
    find = socket.getaddrinfo

    def found(host: Any, *rest: Any, **options: Any) -> Any:
        return find("127.0.0.1" if str(host).endswith(_OF_THIS_MACHINE) else host, *rest, **options)

    socket.getaddrinfo = found


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)  # kfp's, about servers of years ago
    _find_this_machine()
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - what it is for
