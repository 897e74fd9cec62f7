"""One ASGI app: pages for people, REST for programs, and what a supervisor asks; every answer is from this origin."""

from http import HTTPStatus
from pathlib import Path

from fastapi import Depends, FastAPI, Response
from fastapi.staticfiles import StaticFiles
from starlette.responses import PlainTextResponse

from console import (
    api,
    api_answers,
    api_decisions,
    api_files,
    api_inbox,
    api_ledger,
    api_models,
    api_people,
    api_policies,
    api_record,
    api_tasks,
    live,
    planning,
)
from console.audit_desk import AuditDesk
from console.auth import Gate
from console.bulk import BulkDesk
from console.described import DESCRIPTION, Described
from console.desk import AnswerDesk
from console.figure_pages import figure_pages
from console.files import FileDesk
from console.guarded import Guarded
from console.names import KnownNames
from console.operation_pages import operation_pages
from console.pages import (
    account,
    api_docs,
    audit,
    audit_access,
    audit_proof,
    audit_take,
    decision_replay,
    deliveries,
    files,
    home,
    inbox,
    models,
    money,
    people,
    policies,
    sign_in,
    task,
    what_if,
)
from console.policy_desk import PolicyDesk
from console.ports import ConsolePorts
from console.problems import tell_errors
from console.rate_limits import RateLimits
from console.rendering import Pages
from console.told import Installation
from console.unforeseen import NoCopies, tell_unforeseen
from workflows.domain.errors import QuartermasterError

STATIC = Path(__file__).parent / "static"


def create_app(ports: ConsolePorts) -> FastAPI:
    """The console over these ports. It holds no state of its own: any number of replicas may run."""
    app = Described(
        title="Quartermaster", version="1", docs_url=None, redoc_url=None, openapi_url=None, description=DESCRIPTION
    )
    gate = Gate(ports.key, ports.sign_in, RateLimits(ports.rates))
    pages = Pages(currency=ports.currency, temporal_ui=ports.temporal_ui, passive=ports.passive)
    answers = AnswerDesk(ports.approvals, ports.verdicts)
    policy_desk = PolicyDesk(ports.policies)
    file_desk = FileDesk(ports.files, ports.inbox, policy_desk, answers, ports.currency) if ports.files else None
    hub = app.state.live = live.LiveHub(ports.live) if ports.live else None
    audit_desk = AuditDesk(ports.audit, ports.signer) if ports.audit and ports.signer else None
    names = KnownNames(ports.sign_in.people.names)
    installation = Installation(ports.invented, ports.zones, names)
    for router in (
        sign_in.routes(gate, pages),
        people.routes(gate, pages),
        account.routes(gate, pages),
        home.routes(ports, gate, pages),
        inbox.routes(ports, gate, pages),
        task.routes(ports, answers, gate, pages),
        deliveries.routes(ports, gate, pages),
        deliveries.rest(ports, gate),
        models.routes(ports, gate, pages),
        api_models.routes(ports, gate),
        policies.routes(policy_desk, gate, pages),
        money.routes(ports, gate, pages),
        money.rest(ports, gate),
        what_if.routes(ports, gate, pages),
        what_if.rest(ports, gate),
        audit.routes(audit_desk, ports.record, gate, pages),
        audit_proof.routes(ports.record, gate, pages),
        audit_take.routes(ports.copies, gate, pages),
        audit_access.routes(ports.reviews, gate, pages),
        decision_replay.routes(ports, gate, pages),
        api_ledger.routes(audit_desk, gate),
        api_record.routes(ports, gate),
        live.routes(hub, gate, names),
        api_people.routes(gate),
        files.routes(file_desk, gate, pages),
        files.notice_routes(ports.notices, gate, pages),
        api_files.routes(file_desk, gate),
        api_docs.routes(gate, pages),
        planning.routes(ports, gate),
        *figure_pages(ports, gate, pages),
        *operation_pages(ports, gate, pages),
        api_policies.routes(policy_desk, gate),
        api_answers.routes(ports, answers, gate),
        api_tasks.routes(ports, gate),
        api_inbox.routes(ports, BulkDesk(ports, answers), gate),
        api_decisions.routes(ports, gate),
        api.routes(ports, gate),
    ):
        app.include_router(router, dependencies=[Depends(installation)])
    app.mount("/static", StaticFiles(directory=STATIC))
    _health(app, ports)
    tell_errors(app, pages, ports.sign_in.people)
    tell_unforeseen(app, pages, ports.sign_in.public_url)
    app.add_middleware(NoCopies)
    app.add_middleware(Guarded, public_url=ports.sign_in.public_url)
    return app


def _health(app: FastAPI, ports: ConsolePorts) -> None:
    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        try:
            await ports.desk.tasks(limit=1)
        except QuartermasterError as error:
            return PlainTextResponse(f"not ready: {type(error).__name__}", HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready")
