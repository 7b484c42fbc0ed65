"""Domains and their records."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from flask import jsonify, request

from tideflow.rehearsal.twin import describing, naming, queries, reading
from tideflow.rehearsal.twin.answering import body, known
from tideflow.rehearsal.twin.reading import InvalidError
from tideflow.rehearsal.twin.zones import APEX, Domain, Record

if TYPE_CHECKING:
    from flask import Flask, Response

    from tideflow.rehearsal.twin.state import State

PATH = "/v2/domains"
_ONE = f"{PATH}/<domain_name>"
_RECORDS = f"{_ONE}/records"
_RECORD = f"{_RECORDS}/<record_id>"


def add(app: Flask, state: State) -> None:
    """Answer for all domains of the state."""

    @app.get(PATH)
    def listed_domains() -> Response:
        asked = reading.read(queries.Page, request.args.to_dict())
        with state.lock:
            found = list(map(_described, state.domains.values()))
        return jsonify(describing.page(found, "domains", request.base_url, asked))

    @app.post(PATH)
    def created_domain() -> tuple[Response, int]:
        asked = reading.read(naming.Domain, body())
        with state.lock:
            if asked.name in state.domains:
                raise InvalidError("name is already in use")
            made = Domain(asked.name)
            if asked.ip_address:
                made.records.append(Record("A", APEX, asked.ip_address))
            state.domains[made.name] = made
            state.save()
            return jsonify(domain=_described(made)), 201

    @app.get(_ONE)
    def one_domain(domain_name: str) -> Response:
        with state.lock:
            return jsonify(domain=_described(_domain(state, domain_name)))

    @app.delete(_ONE)
    def deleted_domain(domain_name: str) -> tuple[str, int]:
        with state.lock:
            del state.domains[_domain(state, domain_name).name]
            state.save()
        return "", 204

    _add_records(app, state)


def _add_records(app: Flask, state: State) -> None:
    @app.get(_RECORDS)
    def listed_records(domain_name: str) -> Response:
        asked = reading.read(naming.Records, request.args.to_dict())
        with state.lock:
            domain = _domain(state, domain_name)
            found = [
                asdict(record)
                for record in domain.records
                if asked.type in {None, record.type} and asked.name in {None, domain.full_name(record)}
            ]
        return jsonify(describing.page(found, "domain_records", request.base_url, asked))

    @app.post(_RECORDS)
    def created_record(domain_name: str) -> tuple[Response, int]:
        record = Record(**reading.read(naming.Record, body()).model_dump())
        with state.lock:
            domain = _domain(state, domain_name)
            _refuse_conflict(domain, record)
            domain.records.append(record)
            state.save()
            return jsonify(domain_record=asdict(record)), 201

    @app.get(_RECORD)
    def one_record(domain_name: str, record_id: str) -> Response:
        with state.lock:
            return jsonify(domain_record=asdict(_record(_domain(state, domain_name), record_id)))

    @app.put(_RECORD)
    @app.patch(_RECORD)
    def updated_record(domain_name: str, record_id: str) -> Response:
        changes = reading.read(naming.RecordChange, body()).given()
        with state.lock:
            domain = _domain(state, domain_name)
            record = _record(domain, record_id)
            if changes["type"] != record.type:
                raise InvalidError("type cannot be changed")
            _refuse_conflict(domain, replace(record, **changes))
            record.change(changes)
            state.save()
            return jsonify(domain_record=asdict(record))

    @app.delete(_RECORD)
    def deleted_record(domain_name: str, record_id: str) -> tuple[str, int]:
        with state.lock:
            domain = _domain(state, domain_name)
            domain.records.remove(_record(domain, record_id))
            state.save()
        return "", 204


def _domain(state: State, name: str) -> Domain:
    return known(state.domains.get(name))


def _record(domain: Domain, record_id: str) -> Record:
    return known(next((record for record in domain.records if str(record.id) == record_id), None))


def _refuse_conflict(domain: Domain, record: Record) -> None:
    if domain.conflicts(record):
        raise InvalidError("CNAME records cannot share a name with other records")


def _described(domain: Domain) -> dict[str, Any]:
    return {"name": domain.name, "ttl": domain.ttl, "zone_file": domain.zone_file}
