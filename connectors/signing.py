"""Signs what leaves the house with an Ed25519 key of its own (RFC 8032), so that a copy can be told from a fake."""

import base64
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from workflows.domain.errors import InvalidInput
from workflows.domain.notary import ED25519, Checkpoint, VerifierKey

SEED_BYTES = 32
_KEY_HEAD = "PRIVATE+KEY"


class Ed25519Signer:
    """The `Signer` port over a 32-byte seed."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"an Ed25519 key is made from {SEED_BYTES} bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = base64.b64encode(raw).decode()

    def sign(self, message: bytes) -> str:
        """The signature, base64."""
        return base64.b64encode(self._key.sign(message)).decode()


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature over the message is that of this public key (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class NoteSigner:
    """A notary's key: a seed, and the name of the log that it signs for."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._signer, self._seed = Ed25519Signer(seed), seed
        self.key = VerifierKey(name=name, public=base64.b64decode(self._signer.public_key))
        """Its public half."""

    def note(self, checkpoint: Checkpoint) -> str:
        """The signed note."""
        return checkpoint.note(self.key, base64.b64decode(self._signer.sign(checkpoint.body().encode())))

    def sign(self, message: bytes) -> str:
        """The signature, base64."""
        return self._signer.sign(message)

    def private_text(self) -> str:
        """The whole key as signed-note tools keep it: PRIVATE+KEY+NAME+HASH+BASE64, one line."""
        seed = base64.b64encode(ED25519 + self._seed).decode()
        return f"{_KEY_HEAD}+{self.key.name}+{self.key.key_id}+{seed}\n"

    @classmethod
    def parse(cls, text: str) -> "NoteSigner":
        """Read `private_text` back.

        Raises:
            InvalidInput: it is no such key; the message does not show it.
        """
        head, name, key_id, encoded = ([*text.strip().split("+", 4)[1:], "", "", "", ""])[:4]
        try:
            seed = base64.b64decode(encoded, validate=True)
            signer = cls(name, seed[1:])
        except ValueError:
            raise InvalidInput("it is not a notary's key (PRIVATE+KEY+NAME+HASH+BASE64)") from None
        whole = text.strip().startswith(_KEY_HEAD + "+") and head == "KEY" and seed[:1] == ED25519 and bool(name)
        if not whole or not hmac.compare_digest(signer.key.key_id, key_id):
            raise InvalidInput("it is a damaged notary's key: its hash is not that of its content")
        return signer
