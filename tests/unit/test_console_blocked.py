"""What the engine may not order is on the inbox page and in REST, with what is in the way."""

from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import decided, stocked_shop
from workflows.domain.decisions import Proposal
from workflows.domain.policies import RiskTier, RuleCode, RuleFired

WAY = "at autonomy L1 for supplier acme people place the orders themselves"


def console(*, blocked: bool) -> ConsoleOverFakes:
    """A stocked shop, with or without something blocked."""
    shop = stocked_shop()
    if blocked:
        found = decided("Lamp <oil>", item="LAMP-1", daily=9, on_hand=3)
        assert isinstance(found.decision.result, Proposal)
        rules = (RuleFired(code=RuleCode.SUGGESTION_ONLY, detail=WAY),)
        result = found.decision.result.model_copy(update={"tier": RiskTier.BLOCKED, "rules": rules})
        changed = found.decision.model_copy(update={"result": result})
        shop.put(found.model_copy(update={"decision": changed}), "Lamp <oil>")
    return ConsoleOverFakes(shop)


def test_the_inbox_lists_what_is_needed_and_not_the_engines_to_order() -> None:
    with TestClient(console(blocked=True).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        html = client.get("/inbox").text
        assert "Needed, and not the engine&#39;s to order" in html or "Needed, and not the engine's to order" in html
        assert WAY in html
        assert "Lamp &lt;oil&gt;" in html
        assert "LAMP-1" not in client.get("/inbox?view=answered").text
        link = html.split("Lamp &lt;oil&gt;")[0].rsplit('href="', 1)[1].split('"')[0]
        assert client.get(link).status_code == 200


def test_nothing_is_said_where_nothing_is_blocked() -> None:
    with TestClient(console(blocked=False).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert "to order</h2>" not in client.get("/inbox").text


def test_rest_gives_the_same() -> None:
    with TestClient(console(blocked=True).app) as client:
        headers = {"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}
        (one,) = client.get("/api/v1/blocked", headers=headers).json()["blocked"]
        assert (one["item"], one["rules"]) == ("LAMP-1", [{"code": "suggestion_only", "detail": WAY}])
        assert client.get("/api/v1/blocked").status_code == 401
