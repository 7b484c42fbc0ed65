"""Load balancers: listed and deleted; they are made by the cluster that has a Service for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import jsonify, request

from tideflow.rehearsal.twin import describing, queries, reading
from tideflow.rehearsal.twin.answering import known
from tideflow.rehearsal.twin.gathering import gather

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.lifecycle import Lifecycle
    from tideflow.rehearsal.twin.resources import Balancer
    from tideflow.rehearsal.twin.state import State

PATH = "/v2/load_balancers"
_ONE = f"{PATH}/<lb_id>"


def add(app: Flask, state: State, lifecycle: Lifecycle) -> None:
    """Answer for the load balancers of all clusters, those that are gone included."""

    def balancer(lb_id: str) -> Balancer:
        return known(state.balancers.get(lb_id))

    @app.get(PATH)
    def listed_balancers() -> Response:
        asked = reading.read(queries.Page, request.args.to_dict())
        gather(state, lifecycle.client)
        with state.lock:
            found = list(map(_described, state.balancers.values()))
        return jsonify(describing.page(found, "load_balancers", request.base_url, asked))

    @app.get(_ONE)
    def one_balancer(lb_id: str) -> Response:
        gather(state, lifecycle.client)
        with state.lock:
            return jsonify(load_balancer=_described(balancer(lb_id)))

    @app.delete(_ONE)
    def deleted_balancer(lb_id: str) -> tuple[str, int]:
        gather(state, lifecycle.client)
        with state.lock:
            state.delete(balancer(lb_id), delay=lifecycle.switchboard.faults.balancer_delay)
            state.save()
        return "", 204


def _described(found: Balancer) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "project_id": describing.PROJECT,
        "ip": found.ip,
        "ipv6": "",
        "size_unit": 1,
        "size": "lb-small",
        "algorithm": "round_robin",
        "status": "active" if found.ip else "new",
        "created_at": describing.timestamp(found.created_at),
        "forwarding_rules": [
            {
                "entry_protocol": port["protocol"],
                "entry_port": port["port"],
                "target_protocol": port["protocol"],
                "target_port": port["target"],
                "certificate_id": "",
                "tls_passthrough": False,
            }
            for port in found.ports
        ],
        "health_check": {
            "protocol": "tcp",
            "port": found.ports[0]["target"] if found.ports else 0,
            "path": "",
            "check_interval_seconds": 3,
            "response_timeout_seconds": 5,
            "unhealthy_threshold": 3,
            "healthy_threshold": 5,
        },
        "sticky_sessions": {"type": "none"},
        "redirect_http_to_https": False,
        "enable_proxy_protocol": False,
        "enable_backend_keepalive": False,
        "http_idle_timeout_seconds": 60,
        "vpc_uuid": found.vpc_uuid,
        "disable_lets_encrypt_dns_records": False,
        "firewall": {"allow": [], "deny": []},
        "network": "EXTERNAL",
        "network_stack": "IPV4",
        "type": "REGIONAL",
        "domains": [],
        "target_load_balancer_ids": [],
        "tls_cipher_policy": "DEFAULT",
        "region": describing.region(found.region),
        "droplet_ids": found.droplet_ids,
        "tag": "",
        **found.settings,
    }
