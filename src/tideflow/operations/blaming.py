"""Who gave an answer that is not Kubeflow's login, and which step has them give another.

Who answers is told by the page and the path: nginx, Istio's gateway, oauth2-proxy and Dex each have some of
their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.operations.commands import to_run
from tideflow.operations.ways import BASE, Trouble

if TYPE_CHECKING:
    from tideflow.clients.outside import Answer
    from tideflow.operations.ways import Way

SUCCESS, FORBIDDEN, MISSING = 200, 403, 404
AWAY = {502, 503, 504}
"""What is answered for somebody behind who does not answer, or not as they should."""

OPEN = Trouble("Kubeflow is shown to anybody: not all are asked to log in", BASE, passes=True)

_REFUSED, _FAILED = 400, 500  # what statuses of errors begin with


def blame(answer: Answer, path: str, way: Way) -> Trouble:
    """Return what is wrong where a path of the hostname got this answer."""
    for of in (_of_nginx, _of_mesh, _of_dex, _of_auth_proxy, _of_gateway, _of_another, _of_nobody):
        if (found := of(answer, path, way)) is not None:
            return found
    return Trouble(
        f"{path} is answered {answer.status} with a page that is none of Kubeflow's: another server may be "
        "there",
        "ingress",
        passes=True,
    )


def _of_nginx(answer: Answer, _: str, way: Way) -> Trouble | None:
    if answer.status < _REFUSED or "nginx" not in answer.page.lower():
        return None
    what, step = {
        400: (
            "nginx does not understand the load balancer, as when only one of them has the PROXY protocol",
            "load_balancer",
        ),
        404: (f"nginx has no Ingress for {way.hostname}", "ingress"),
        502: ("no pod of Istio's gateway answers nginx as it should", BASE),
        503: ("no pod of Istio's gateway is ready", BASE),
        504: ("nginx gets no connection to Istio's gateway, as when no NetworkPolicy lets it in", BASE),
    }.get(answer.status, ("nginx does not pass on what strangers ask for", "ingress"))
    return Trouble(f"{what} ({answer.status})", step, passes=True)


def _of_mesh(answer: Answer, path: str, _: Way) -> Trouble | None:
    if "RBAC: access denied" not in answer.page:
        return None
    return Trouble(
        f"the mesh lets nobody through to {path} (RBAC: access denied): an AuthorizationPolicy is not as it "
        "was made, or one was added",
        BASE,
        passes=True,
        otherwise="if that does not help, delete what somebody added: kubectl get authorizationpolicies "
        "--all-namespaces",
    )


def _of_dex(answer: Answer, path: str, _: Way) -> Trouble | None:
    if answer.status < _REFUSED or not path.startswith("/dex/"):
        return None
    if answer.status in AWAY:
        what, step = "Dex does not answer the gateway", BASE
    elif "client_id" in answer.page:
        return Trouble(
            f"Dex does not know oauth2-proxy, as their client ids differ ({answer.status})",
            "reachable",
            passes=True,
            first="put the client id of the Secret auth/dex-oidc-client into that of oauth2-proxy, and "
            "restart the Deployment there",
        )
    elif "redirect_uri" in answer.page:
        what, step = "Dex sends nobody back to this oauth2-proxy", BASE
    else:
        what, step = "Dex has an error in the place of its login page", "auth"
    return Trouble(
        f"{what} ({answer.status})",
        step,
        passes=True,
        otherwise="if that does not help, restart what has been told otherwise: kubectl rollout restart -n "
        "auth deployment/dex",
    )


def _of_auth_proxy(answer: Answer, path: str, _: Way) -> Trouble | None:
    """Istio's gateway asks it about every other path too, and passes on what it says, if it says anything."""
    is_its_own = path.startswith("/oauth2/")
    if answer.status in AWAY and is_its_own:
        return Trouble(f"oauth2-proxy does not answer the gateway ({answer.status})", BASE, passes=True)
    if answer.status == FORBIDDEN and not answer.page.strip():
        return Trouble(
            "the gateway asks oauth2-proxy in vain, and lets nobody through",
            BASE,
            passes=True,
            otherwise="if that does not help, have its credentials made anew: "
            f"{to_run('credentials')} --data rotate_credentials=true",
        )
    if answer.status == _FAILED or (answer.status > _REFUSED and is_its_own):
        return Trouble(
            f"oauth2-proxy has an error ({answer.status}) in the place of a login: its settings or its "
            "credentials will not do",
            "credentials",
            passes=True,
        )
    return None


def _of_gateway(answer: Answer, path: str, way: Way) -> Trouble | None:
    if answer.status == MISSING:
        what = f"Istio's gateway leads {way.hostname}{path} nowhere"
    elif answer.status in AWAY:
        what = f"what Istio's gateway leads {path} to is not ready"
    else:
        return None
    return Trouble(f"{what} ({answer.status})", BASE, passes=True)


def _of_another(answer: Answer, path: str, _: Way) -> Trouble | None:
    """Return that what is Dex's or oauth2-proxy's is answered by somebody else behind the gateway."""
    if answer.status != SUCCESS or not path.startswith(("/dex/", "/oauth2/")):
        return None
    return Trouble(f"Istio's gateway leads {path} to somebody else than it should", BASE, passes=True)


def _of_nobody(answer: Answer, path: str, _: Way) -> Trouble | None:
    """Return that somebody got in who has not logged in."""
    is_shown = answer.status == SUCCESS and path == "/" and "kubeflow" in answer.page.lower()
    return OPEN if is_shown else None
