"""The pages and the REST operations of operators, for the app to take in."""

from fastapi import APIRouter

from console import api_doubt, api_operations, api_sending
from console.auth import Gate
from console.pages import health, lists, live_page, order_doubt, orders, reconciliation
from console.ports import ConsolePorts
from console.rendering import Pages


def operation_pages(ports: ConsolePorts, gate: Gate, pages: Pages) -> tuple[APIRouter, ...]:
    """Orders, reconciliation, dead letters, health with the stop switches, and events as they arrive."""
    return (
        orders.routes(ports, gate, pages),
        order_doubt.routes(ports, gate, pages),
        reconciliation.routes(ports, gate, pages),
        lists.routes(ports, gate, pages),
        health.routes(ports, gate, pages),
        live_page.routes(ports, gate, pages),
        api_operations.routes(ports, gate),
        api_doubt.routes(ports, gate),
        api_sending.routes(ports, gate),
    )
