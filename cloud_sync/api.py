"""/api/v1: JSON for programs. One table of operations makes both the addresses and their description."""

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, jsonify, request

from cloud_sync import api_cases, api_holdings, api_request, db, sessions
from cloud_sync import api_records as records
from cloud_sync.api_document import Operation, document, rule
from cloud_sync.api_request import Asked, Refused

VERSION = "1"
PREFIX = "/api/v1"
blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
OPERATIONS = (
    Operation(
        name="list_cases", path="/cases", rights=("viewer",), words="Cases, the latest first.",
        answer=api_cases.page, gives=records.CasePage, query_kind=records.CaseQuery,
    ),
    Operation(
        name="get_case", path="/cases/{case_id}", rights=("viewer", "expert"), words="One case.",
        answer=api_cases.one, gives=records.CaseView, path_kind=records.CasePath, faults=(404,),
    ),
    Operation(
        name="list_reviews", path="/cases/{case_id}/reviews", rights=("viewer", "expert"),
        words="Every judgement on a case, the oldest first.",
        answer=api_cases.said_of, gives=records.Reviews, path_kind=records.CasePath, faults=(404,),
    ),
    Operation(
        name="judge", method="POST", path="/cases/{case_id}/reviews", rights=("expert",),
        words="Adds a judgement; gives every judgement on the case.", answer=api_cases.judge, gives=records.Reviews,
        path_kind=records.CasePath, body_kind=records.Judgement, success=201, faults=(404, 409, 413, 415, 422),
    ),
    Operation(
        name="count_queue", path="/queue", rights=("viewer", "expert"), words="What waits for an expert.",
        answer=api_cases.queue, gives=records.QueueCounts,
    ),
    Operation(
        name="list_datasets", path="/datasets", rights=("viewer",), words="Datasets, the latest first.",
        answer=api_holdings.dataset_page, gives=records.DatasetPage, query_kind=records.PageQuery,
    ),
    Operation(
        name="get_dataset", path="/datasets/{name}/{version}", rights=("viewer",), words="One version of a dataset.",
        answer=api_holdings.dataset_one, gives=records.DatasetView, path_kind=records.DatasetPath, faults=(404,),
    ),
    Operation(
        name="get_manifest", path="/datasets/{name}/{version}/manifest", rights=("viewer",),
        words="A dataset's manifest, JSON lines, the very bytes that its hash is of.",
        answer=api_holdings.manifest, gives=bytes, path_kind=records.DatasetPath, faults=(404,),
    ),
    Operation(
        name="list_models", path="/models", rights=("viewer",), words="Every bundle of the registry.",
        answer=api_holdings.model_list, gives=records.Models,
    ),
    Operation(
        name="list_stations", path="/stations", rights=("viewer",), words="Every station that has been heard of.",
        answer=api_holdings.station_list, gives=records.Stations,
    ),
    Operation(
        name="get_audit_head", path="/audit/head", rights=("quality",), words="The end of the audit log.",
        answer=api_holdings.audit_end, gives=records.AuditEnd,
    ),
)  # fmt: skip


@blueprint.get("/openapi.json")
def document_json() -> Response:
    """Needs no token: it says nothing of what is held."""
    return jsonify(document(OPERATIONS, VERSION))


def answer(operation: Operation, path: dict[str, str]) -> Response | tuple[Response, int]:
    """The operation's answer, or the one shape of every fault."""
    try:
        found = operation.answer(_asked(operation, path))
    except Refused as refused:
        response, status = sessions.fault_json(refused.status, refused.code, refused.words)
        response.headers.update(refused.headers)
        return response, status
    if isinstance(found, bytes):
        return Response(found, mimetype="application/jsonl")
    return Response(msgspec.json.encode(found), status=operation.success, mimetype="application/json")


def _asked(operation: Operation, path: dict[str, str]) -> Asked:
    shelf, now = current_app.extensions["tankwatch"], db.now()
    caller = api_request.caller(shelf.engine, request, now)
    if not caller.may(*operation.rights):
        raise Refused(403, "role", "This token's role does not include this: ask an administrator.")
    try:
        parts = api_request.part(path, operation.path_kind)
    except msgspec.ValidationError as error:
        raise Refused(404, "not_found", f"There is nothing under this address: {error}.") from error
    return Asked(
        engine=shelf.engine,
        desk=shelf.desk,
        caller=caller,
        path=parts,
        query=api_request.query(request, operation.query_kind),
        body=api_request.body(request, operation.body_kind),
        now=now,
        overdue_h=shelf.config.clip_overdue_h,
    )


def _view(operation: Operation) -> Callable[..., Any]:
    def view(**path: str) -> Response | tuple[Response, int]:
        return answer(operation, path)

    return view


for _operation in OPERATIONS:
    blueprint.add_url_rule(rule(_operation.path), _operation.name, _view(_operation), methods=[_operation.method])
