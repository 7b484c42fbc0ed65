"""An inventory for tests: the usual one, but a library raises while a secret is in its hands, and tells it.

BREAKS names which one: a mistake that nobody expects, and whose text quotes all that it was given.
"""

from __future__ import annotations

import json as _json
import os as _os
from typing import Any as _Any

import bcrypt as _bcrypt
import requests as _requests
import urllib3 as _urllib3
import yaml as _yaml
from kubernetes import config as _config

from tideflow.connectors.inventory import platform as _platform

platforms = [_platform(_os.environ)]
_breaks = _os.environ["BREAKS"]


def _raising(original: _Any, when: _Any) -> _Any:
    def called(*args: _Any, **kwargs: _Any) -> _Any:
        given = f"{args} {kwargs}"
        if when(given):
            raise RuntimeError(f"a defect of a library, with {given}")
        return original(*args, **kwargs)

    return called


def _break(owner: _Any, name: str, when: _Any = lambda _: True) -> None:
    setattr(owner, name, _raising(getattr(owner, name), when))


if _breaks == "connecting":
    _break(_requests.Session, "request")
elif _breaks == "credentials":
    _break(_requests.Session, "request", lambda given: "/credentials" in given)
elif _breaks == "reading":
    _break(_urllib3.PoolManager, "request", lambda given: "/secrets" in given)
elif _breaks == "writing":
    _break(_urllib3.PoolManager, "request", lambda given: "'PATCH'" in given and "/secrets" in given)
elif _breaks == "hashing":
    _break(_bcrypt, "hashpw")
elif _breaks == "dumping":
    _break(_yaml, "safe_dump", lambda given: "token" in given)
elif _breaks == "encoding":
    _break(_json, "dumps", lambda given: "DEX_USER_PASSWORD" in given)
elif _breaks == "configuring":
    _break(_config, "load_kube_config")
else:
    raise SystemExit(f"nothing is called {_breaks}")
