"""Tokens that only this installation's key makes, each for one purpose and for so long."""

import hashlib
from datetime import timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer


def sign(key: bytes, purpose: str, facts: dict[str, str]) -> str:
    """The facts as a token; one made for one purpose is worth nothing for another."""
    signed = _serializer(key, purpose).dumps(facts)
    return signed if isinstance(signed, str) else signed.decode()


def read(key: bytes, purpose: str, token: str, lasts: timedelta) -> dict[str, str] | None:
    """The facts of a token; None when it is not ours, not for this purpose, damaged or too old."""
    try:
        facts: dict[str, str] = _serializer(key, purpose).loads(token, max_age=int(lasts.total_seconds()))
    except BadSignature:  # expired ones included
        return None
    return facts


def csrf(key: bytes, secret: str) -> str:
    """What the forms of one session carry; nobody can make it without the key and the session's secret."""
    return hashlib.blake2b(f"csrf:{secret}".encode(), key=hashlib.sha256(key).digest(), digest_size=24).hexdigest()


def _serializer(key: bytes, purpose: str) -> URLSafeTimedSerializer:
    kwargs = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(key, salt=f"quartermaster.{purpose}", signer_kwargs=kwargs)
