"""Passwords that a database has in its data too: what people have to do to change one that is live.

MySQL takes the password of its Secret over only when it initializes an empty volume. Another one in the
Secret alone would lock out all that log in with it, so here it is never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tideflow.operations.commands import programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tideflow.vendoring.pins import Credential


def by_hand(credential: Credential, kubeconfig: Path) -> Iterator[str]:
    """Return the commands, for a shell, that change the password of MySQL's root and of all that use it.

    The new one is in the Secret before it is MySQL's, as ``next``, so that it cannot get lost in between.
    None of them has a password among its arguments.
    """
    space, _, server = credential.database.partition("/")
    secret = f"secret -n {space} {credential.name}"
    stdin = "--type merge --patch-file /dev/stdin"
    own = f' PATH="$PWD/{programs().rstrip("/")}:$PATH"' if programs() else ""  # where kubectl is
    yield f"export KUBECONFIG={kubeconfig}{own}"
    yield f"old=$(kubectl get {secret} -o jsonpath='{{.data.{credential.key}}}' | base64 -d)"
    yield "new=$(openssl rand -hex 16)"
    yield f"""printf '{{"stringData": {{"next": "%s"}}}}' "$new" | kubectl patch {secret} {stdin} &&"""
    alter = "; ".join(
        f"ALTER USER IF EXISTS 'root'@'{host}' IDENTIFIED BY '%s'" for host in ("%%", "localhost")
    )
    yield (
        f"""printf "%s\\n{alter};" "$old" "$new" "$new" | kubectl exec -i -n {space} deployment/{server} """
        "-- sh -c 'read -r MYSQL_PWD; export MYSQL_PWD; exec mysql -u root' && "
        f"""printf '{{"stringData": {{"{credential.key}": "%s"}}, "data": {{"next": null}}}}' "$new" """
        f"| kubectl patch {secret} {stdin} && "
        f"kubectl rollout restart -n {space} {_restarted(credential.readers)}"
    )


def _restarted(readers: Sequence[str]) -> str:
    return " ".join(f"deployment/{reader.partition('/')[2]}" for reader in readers)
