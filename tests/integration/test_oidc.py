"""Signing in at an OpenID provider on loopback, the whole way and every way in which it must fail."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from oidc_provider_mock import User, run_server_in_thread  # type: ignore[import-untyped]

from connectors.oidc import OidcProvider, Registration
from connectors.oidc_claims import Claims, role_mapping
from console.auth import COOKIE
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.errors import InvalidInput, Unavailable
from workflows.domain.names import is_reference
from workflows.domain.people import Role
from workflows.domain.sessions import Refused

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""The provider of the tests uses an older interface of its own library."""

BACK = "http://testserver/sign-in/callback"
CLAIMS = Claims(roles="groups", mapping=role_mapping("planner=QM-Planners,planner=QM-Leads,approver=QM-Leads"))
PEOPLE = [
    User(sub="pia", claims={"preferred_username": "Pia P", "email": "pia@x.example", "groups": ["QM-Leads", "All"]}),
    User(sub="ada-too", claims={"preferred_username": "ada", "groups": ["QM-Planners"]}),
    User(sub="nobody", claims={"preferred_username": "Norman", "groups": ["All"]}),
]


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with run_server_in_thread(user_claims=PEOPLE) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def provider_at(issuer: str, claims: Claims = CLAIMS) -> OidcProvider:
    agreed = Registration(issuer=issuer, client_id="quartermaster", redirect_uri=BACK, claims=claims, secret="s e:c+t")
    return OidcProvider(agreed, KEY)


@pytest.fixture
async def provider(issuer: str) -> AsyncIterator[OidcProvider]:
    made = provider_at(issuer)
    yield made
    await made.aclose()


def consented(address: str, sub: str) -> dict[str, str]:
    """What the provider sends back when this person says yes at its page."""
    said = httpx.post(address, data={"sub": sub}, follow_redirects=False, trust_env=False)
    assert said.status_code == 302, said.text
    return {name: values[0] for name, values in parse_qs(urlsplit(said.headers["location"]).query).items()}


class Browser:
    """The console with an identity provider, and somebody in front of it."""

    def __init__(self, issuer: str) -> None:
        console = ConsoleOverFakes()
        self.console = ConsoleOverFakes(
            sign_in=replace(console.sign_in, local=False, provider=provider_at(issuer)),
        )
        self.people = console.people
        self.sessions = console.sessions
        self.client = TestClient(self.console.app, follow_redirects=False)

    def begin(self, target: str = "/inbox") -> str:
        answer = self.client.get("/sign-in/begin", params={"next": target})
        assert answer.status_code == 303
        return answer.headers["location"]

    def back(self, answer: dict[str, str]) -> Any:
        return self.client.get("/sign-in/callback", params=answer)


@pytest.fixture
def browser(issuer: str) -> Iterator[Browser]:
    made = Browser(issuer)
    with made.client:
        yield made


def test_the_whole_way_ends_with_a_session_of_the_person_whom_the_provider_names(browser: Browser) -> None:
    assert "127.0.0.1" in browser.client.get("/sign-in").text
    there = browser.begin()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert len(asked["code_challenge"]) == 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    flow_cookie = browser.client.cookies["qm_flow"]
    assert asked["state"] not in flow_cookie

    answer = browser.back(consented(there, "pia"))

    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    assert "qm_flow" not in browser.client.cookies
    assert browser.client.get("/account").status_code == 200
    [person] = [one for one in browser.people.known.values() if one.called == "Pia P"]
    assert is_reference(person.name)
    assert person.roles == {Role.PLANNER, Role.APPROVER}
    assert (person.email, person.subject) == ("pia@x.example", asked_issuer(there) + "#pia")


def asked_issuer(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def test_a_name_that_is_somebody_elses_is_not_taken_over(browser: Browser) -> None:
    before = browser.people.known["Ada"]
    assert browser.back(consented(browser.begin(), "ada-too")).status_code == 303
    assert browser.people.known["Ada"] == before
    [other] = [one for one in browser.people.known.values() if one.subject]
    assert other.called.startswith("ada (")


def test_who_has_no_role_here_gets_no_session_and_leaves_no_trace_among_people(browser: Browser) -> None:
    known = set(browser.people.known)
    answer = browser.back(consented(browser.begin(), "nobody"))
    assert answer.status_code == 401
    assert "no role" in answer.text
    assert COOKIE not in browser.client.cookies
    assert set(browser.people.known) == known


def test_somebody_whose_roles_were_taken_away_is_refused_and_it_is_on_record(browser: Browser, issuer: str) -> None:
    known = browser.people.known["Vera"].model_copy(update={"subject": f"{issuer}#nobody"})
    browser.people.known["Vera"] = known
    assert browser.back(consented(browser.begin(), "nobody")).status_code == 401
    assert browser.people.known["Vera"].roles == frozenset()
    assert browser.people.refusals == [("Vera", "sign in", "no role")]


def test_an_answer_with_another_state_opens_nothing(browser: Browser) -> None:
    answer = consented(browser.begin(), "pia")
    assert browser.back({**answer, "state": "x" * 43}).status_code == 401
    assert COOKIE not in browser.client.cookies
    assert browser.back(answer).status_code == 401, "a flow is good for one answer, a wrong one too"


def test_an_answer_cannot_be_used_twice_or_by_another_browser(browser: Browser, issuer: str) -> None:
    answer = consented(browser.begin(), "pia")
    carried = browser.client.cookies["qm_flow"]
    assert browser.back(answer).status_code == 303
    browser.client.cookies.set("qm_flow", carried)
    assert browser.back(answer).status_code == 401

    stolen = consented(browser.begin(), "pia")
    with TestClient(browser.console.app, follow_redirects=False) as other:
        assert other.get("/sign-in/callback", params=stolen).status_code == 401
        other.get("/sign-in/begin")
        assert other.get("/sign-in/callback", params=stolen).status_code == 401


def test_what_the_provider_refuses_and_foreign_issuers_open_nothing(browser: Browser) -> None:
    answer = consented(browser.begin(), "pia")
    refusal = browser.back({"error": "access_denied<script>", "state": answer["state"]})
    assert refusal.status_code == 401
    assert "<script>" not in refusal.text
    answer = consented(browser.begin(), "pia")
    assert browser.back({**answer, "iss": "https://evil.example"}).status_code == 401
    assert browser.back({}).status_code == 401


def test_links_open_nothing_where_there_is_a_provider(browser: Browser) -> None:
    assert 'name="token"' not in browser.client.get("/sign-in").text


async def test_a_code_is_good_for_one_flow_and_once(provider: OidcProvider) -> None:
    answer = consented(await provider.begin("one"), "pia")
    with pytest.raises(Refused, match="another sign-in"):
        await provider.finish("two", answer)
    assert (await provider.finish("one", answer)).name == "Pia P"
    with pytest.raises(Refused, match="invalid_grant"):
        await provider.finish("one", answer)


async def test_a_token_made_for_another_sign_in_is_refused(provider: OidcProvider) -> None:
    """The code of one flow under the state of another: only the nonce in the token tells them apart."""
    one = consented(await provider.begin("one"), "pia")
    two = consented(await provider.begin("two"), "pia")
    with pytest.raises(Refused, match="another sign-in"):
        await provider.finish("one", {**one, "code": two["code"]})


async def test_an_expired_token_is_refused() -> None:
    with run_server_in_thread(user_claims=PEOPLE, access_token_max_age=timedelta(seconds=-120)) as server:
        provider = provider_at(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(Refused, match="expired"):
            await provider.finish("one", consented(await provider.begin("one"), "pia"))
        await provider.aclose()


async def test_a_token_that_the_provider_did_not_sign_is_refused(
    provider: OidcProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = consented(await provider.begin("one"), "pia")
    forged = jwt.encode({"alg": "RS256"}, {"sub": "pia"}, RSAKey.generate_key(2048))

    async def exchange(*_: object) -> dict[str, str]:
        return {"id_token": forged}

    monkeypatch.setattr(provider, "_exchange", exchange)
    for token in (forged, "", "a.b.c", jwt.encode({"alg": "HS256"}, {"sub": "pia"}, OctKey.generate_key(256))):
        forged = token
        with pytest.raises(Refused, match="not signed"):
            await provider.finish("one", answer)


async def test_locations_and_the_limit_come_from_claims_where_they_are_wanted(issuer: str) -> None:
    people = [User(sub="pia", claims={"name": "Pia", "sites": "LEEDS, YORK", "limit": "750.50"}), User(sub="eve")]
    wanted = Claims(roles=None, mapping={}, locations="sites", approval_limit="limit")
    with run_server_in_thread(user_claims=people) as server:
        provider = provider_at(f"http://127.0.0.1:{server.server_port}", wanted)
        pia = await provider.finish("one", consented(await provider.begin("one"), "pia"))
        eve = await provider.finish("two", consented(await provider.begin("two"), "eve"))
        await provider.aclose()
    assert (pia.roles, pia.locations, pia.approval_limit) == (None, frozenset({"LEEDS", "YORK"}), Decimal("750.50"))
    assert (eve.locations, eve.approval_limit) == (frozenset(), Decimal(0)), "what is forgotten is not unlimited"


async def test_a_provider_that_is_away_or_somebody_else_is_unavailable(issuer: str) -> None:
    for address in ("http://127.0.0.1:9", f"{issuer}/somebody-else", "http://idp.example"):
        provider = provider_at(address)
        with pytest.raises(Unavailable):
            await provider.begin("one")
        await provider.aclose()


def test_a_mapping_names_known_roles() -> None:
    assert role_mapping("planner=A, approver=A,viewer=B c") == {
        "A": {Role.PLANNER, Role.APPROVER}, "B c": {Role.VIEWER},
    }  # fmt: skip
    for wrong in ("planner", "king=A", "planner="):
        with pytest.raises(InvalidInput, match="QM_OIDC_ROLES"):
            role_mapping(wrong)
