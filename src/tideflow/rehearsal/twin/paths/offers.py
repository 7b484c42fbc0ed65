"""What there is to be had: the account, what clusters may be made of, 1-clicks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import jsonify, request

from tideflow.rehearsal.twin import catalogue, describing, queries, reading
from tideflow.rehearsal.twin.answering import body, cluster_of
from tideflow.rehearsal.twin.reading import InvalidError

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.faults import Switchboard
    from tideflow.rehearsal.twin.state import State


def add(app: Flask, state: State, switchboard: Switchboard, account_name: str) -> None:
    """Answer for the account of that e-mail address."""

    @app.get("/v2/account")
    def account() -> Response:
        return jsonify(
            account=describing.account(account_name, droplet_limit=switchboard.faults.droplet_limit)
        )

    @app.get("/v2/kubernetes/options")
    def options() -> Response:
        return jsonify(options=describing.options())

    @app.get("/v2/sizes")
    def sizes() -> Response:
        asked = reading.read(queries.Page, request.args.to_dict())
        found = [describing.size(size) for size in catalogue.SIZES.values()]
        return jsonify(describing.page(found, "sizes", request.base_url, asked))

    @app.get("/v2/1-clicks")
    def one_clicks() -> Response:
        wanted = reading.read(queries.Offers, request.args.to_dict()).type
        slugs = [] if wanted == "droplet" else offered()
        return jsonify({"1_clicks": [{"slug": slug, "type": "kubernetes"} for slug in slugs]})

    def offered() -> list[str]:
        return [slug for slug in catalogue.ONE_CLICKS if slug not in switchboard.faults.withdrawn]

    @app.post("/v2/1-clicks/kubernetes")
    def installed() -> Response:
        asked = reading.read(reading.OneClicks, body())
        with state.lock:
            cluster = cluster_of(state, asked.cluster_uuid)
            if not set(asked.addon_slugs) <= set(offered()):
                raise InvalidError("addon_slugs are not all offered any more")
            for slug in asked.addon_slugs:
                cluster.addons.setdefault(slug, time.time())  # Helm refuses to do it twice at once
            state.save()
        return jsonify(message="Successfully kicked off addon job.")
