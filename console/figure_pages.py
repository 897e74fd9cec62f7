"""Every page and operation about figures, stock, demand and sales, so that the app takes them in as one."""

from fastapi import APIRouter

from console import api_figures
from console.auth import Gate
from console.pages import definitions, demand, inventory, sales
from console.ports import ConsolePorts
from console.rendering import Pages


def figure_pages(ports: ConsolePorts, gate: Gate, pages: Pages) -> list[APIRouter]:
    """Definitions, inventory, demand and sales, and their REST twins."""
    return [
        definitions.routes(gate, pages),
        inventory.routes(ports, gate, pages),
        demand.routes(ports, gate, pages),
        sales.routes(ports, gate, pages),
        api_figures.routes(ports, gate),
    ]
