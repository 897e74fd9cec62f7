"""Signs people in at an OpenID provider: authorization code with PKCE; tokens never leave this process.

OpenID Connect Core 1.0 section 3.1, RFC 7636 (PKCE) and RFC 9207 (issuer in the answer). Whatever belongs to one
sign-in (state, nonce, verifier) is derived from its flow's id and our key: any replica finishes what another began.
"""

import hashlib
import hmac
import logging
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from connectors.certificates import believed_for
from connectors.oidc_claims import Claims, identity_of
from workflows.domain.errors import Unavailable
from workflows.domain.failpoints import Effect
from workflows.domain.people import Identity
from workflows.domain.sessions import Refused

log = logging.getLogger(__name__)

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Only with public keys: a client secret never vouches for who somebody is, and `none` is no signature."""
LEEWAY_S = 60
OLDEST_S = 600
"""An ID token is used the moment that it is made."""
KNOWN_FOR_S = 3600
KEYS_AGAIN_S = 30
"""Unknown keys make us ask for the provider's keys again, and not more often than this."""
MOST_BYTES = 1_048_576
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class Registration:
    """What the provider and we have agreed on."""

    issuer: str
    client_id: str
    redirect_uri: str
    claims: Claims
    secret: str | None = field(default=None, repr=False)
    """None: a public client, which PKCE alone protects."""
    scope: str = "openid profile email"


class OidcProvider:
    """The `IdentityProvider` port."""

    def __init__(self, registration: Registration, key: bytes) -> None:
        """
        Raises:
            InvalidInput: SSL_CERT_FILE names no certificates.
        """
        self._us = registration
        self._key = key
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(10.0, connect=5.0), follow_redirects=False, trust_env=False,
            verify=believed_for(urlsplit(registration.issuer).scheme),
        )  # fmt: skip
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self.title = urlsplit(registration.issuer).hostname or registration.issuer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def begin(self, flow: str) -> str:
        metadata = await self._discovered()
        challenge = hashlib.sha256(self._derived("verifier", flow).encode()).digest()
        asked = {
            "response_type": "code", "client_id": self._us.client_id, "redirect_uri": self._us.redirect_uri,
            "scope": self._us.scope, "state": self._derived("state", flow), "nonce": self._derived("nonce", flow),
            "code_challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode(), "code_challenge_method": "S256",
        }  # fmt: skip
        address = str(metadata["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def finish(self, flow: str, answer: dict[str, str]) -> Identity:
        metadata = await self._discovered()
        if not hmac.compare_digest(answer.get("state", "").encode(), self._derived("state", flow).encode()):
            raise Refused("The identity provider's answer belongs to another sign-in.")
        self._check_issuer(metadata, answer)
        if "error" in answer:
            raise Refused(f"The identity provider said no: {_word(answer['error'])}.")
        if not answer.get("code"):
            raise Refused("The identity provider's answer is not complete.")
        async with Effect("sign_in.redeem"):
            tokens = await self._exchange(metadata, flow, answer["code"])
        claims = await self._verified(metadata, flow, str(tokens.get("id_token") or ""))
        if self._us.claims.missing(claims) and metadata.get("userinfo_endpoint") and tokens.get("access_token"):
            claims = {**await self._userinfo(metadata, str(tokens["access_token"]), claims["sub"]), **claims}
        return identity_of(str(metadata["issuer"]), claims, self._us.claims)

    def _check_issuer(self, metadata: Mapping[str, Any], answer: Mapping[str, str]) -> None:
        """RFC 9207: an answer of another provider is not taken for this one's."""
        said = answer.get("iss")
        if said is None and metadata.get("authorization_response_iss_parameter_supported"):
            raise Refused("The answer does not say which identity provider it is from.")
        if said is not None and said != metadata["issuer"]:
            raise Refused("The answer is from another identity provider.")

    async def _exchange(self, metadata: Mapping[str, Any], flow: str, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._us.redirect_uri,
            "code_verifier": self._derived("verifier", flow), "client_id": self._us.client_id,
        }  # fmt: skip
        credentials = None
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if self._us.secret is not None and "client_secret_basic" in methods:
            # RFC 6749 2.3.1: both are form-encoded before they are joined.
            credentials = httpx.BasicAuth(quote(self._us.client_id, safe=""), quote(self._us.secret, safe=""))
        elif self._us.secret is not None:
            form["client_secret"] = self._us.secret
        status, document = await self._asked("POST", metadata["token_endpoint"], data=form, auth=credentials)
        if status != 200:
            raise Refused(f"The identity provider takes the code for nothing: {_word(document.get('error'))}.")
        return document

    async def _verified(self, metadata: Mapping[str, Any], flow: str, token: str) -> dict[str, Any]:
        claims = await self._signed(metadata, token)
        now = time.time()
        audience = claims.get("aud")
        several = audience if isinstance(audience, list) else [audience]
        wrong = [
            (claims.get("iss") != metadata["issuer"], "it is another issuer's"),
            (self._us.client_id not in several, "it is for another application"),
            (len(several) > 1 and claims.get("azp") != self._us.client_id, "it is for another application"),
            (claims.get("azp", self._us.client_id) != self._us.client_id, "it is for another application"),
            (not _number(claims.get("exp")) or claims["exp"] < now - LEEWAY_S, "it has expired"),
            (not _number(claims.get("iat")) or not now - OLDEST_S < claims["iat"] < now + LEEWAY_S, "it is too old"),
            (not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255, "it names nobody"),
            (not _same(claims.get("nonce"), self._derived("nonce", flow)), "it belongs to another sign-in"),
        ]
        for found, why in wrong:
            if found:
                raise Refused(f"The identity provider's token cannot be taken: {why}.")
        return claims

    async def _signed(self, metadata: Mapping[str, Any], token: str) -> dict[str, Any]:
        """The claims of a token that one of the provider's keys signed."""
        for again in (False, True):
            try:
                return dict(jwt.decode(token, await self._key_set(metadata, again=again), algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError):
                continue  # its keys may have changed since we asked
        raise Refused("The identity provider's token is not signed with its keys.")

    async def _userinfo(self, metadata: Mapping[str, Any], token: str, subject: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        status, said = await self._asked("GET", metadata["userinfo_endpoint"], headers=headers)
        if status != 200 or said.get("sub") != subject:
            raise Refused("The identity provider does not say who it is.")
        return said

    async def _discovered(self) -> dict[str, Any]:
        if self._metadata is not None and time.monotonic() - self._metadata[0] < KNOWN_FOR_S:
            return self._metadata[1]
        issuer = self._us.issuer.rstrip("/")
        status, found = await self._asked("GET", f"{issuer}/.well-known/openid-configuration")
        if status != 200 or str(found.get("issuer", "")).rstrip("/") != issuer:
            raise Unavailable(f"{issuer} does not describe itself as an OpenID provider (status {status}).")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _encrypted(str(found.get(name) or ""), name)
        self._metadata = time.monotonic(), found
        return found

    async def _key_set(self, metadata: Mapping[str, Any], *, again: bool) -> KeySet:
        age = None if self._keys is None else time.monotonic() - self._keys[0]
        if self._keys is not None and age is not None and age < (KEYS_AGAIN_S if again else KNOWN_FOR_S):
            return self._keys[1]
        status, found = await self._asked("GET", metadata["jwks_uri"])
        if status != 200:
            raise Unavailable(f"{self.title} does not show its keys (status {status}).")
        # Keys of kinds that this library does not know must not keep us from the others.
        kinds = {"RSA", "EC", "OKP"}
        usable = [key for key in found.get("keys", []) if key.get("kty") in kinds and key.get("use", "sig") == "sig"]
        self._keys = time.monotonic(), KeySet.import_key_set({"keys": usable})
        return self._keys[1]

    async def _asked(self, method: str, address: str, **how: Any) -> tuple[int, dict[str, Any]]:
        """One request; the status and the JSON object of the answer, an empty one for anything else."""
        _encrypted(str(address), "address")
        try:
            async with self._http.stream(method, address, **how) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise Unavailable(f"{self.title} answers with more than {MOST_BYTES} bytes.")
                if answer.status_code >= 500:
                    raise Unavailable(f"{self.title} answered with status {answer.status_code}.")
                return answer.status_code, _object(answer, body)
        except httpx.HTTPError as error:
            # For the operator: whoever signs in is not told of certificates and addresses.
            log.warning("the identity provider %s did not answer: %r", self.title, error)
            raise Unavailable(f"{self.title} did not answer: {type(error).__name__}.") from error

    def _derived(self, purpose: str, flow: str) -> str:
        made = hmac.new(self._key, f"oidc:{purpose}:{flow}".encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(made).rstrip(b"=").decode()


def _object(answer: httpx.Response, body: bytes) -> dict[str, Any]:
    try:
        found = httpx.Response(answer.status_code, content=body).json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _encrypted(address: str, name: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Unavailable(f"The identity provider's {name} is not https; only a loopback's may be without.")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(value: object, expected: str) -> bool:
    return isinstance(value, str) and hmac.compare_digest(value.encode(), expected.encode())


def _word(text: object) -> str:
    """An error code of the provider's; never more of what a stranger may have written."""
    said = str(text or "no reason given")
    return said if said.replace("_", "").isalnum() and len(said) < 60 else "a reason that cannot be shown"
