"""Seals what is personal with a key of each person's own: without that key, nothing of it can be read any more.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce for each sealing; derived keys by HKDF-SHA256 (RFC 5869). The
key in the file wraps each person's data key, and keys the hashes by which somebody is looked up.
"""

import hashlib
import hmac
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connectors.folders import write_once
from workflows.domain.errors import InvalidInput

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 32


class Unreadable(InvalidInput):
    """What was sealed cannot be opened: another key sealed it, or it was changed."""


class DataKey:
    """One person's key."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(secret)

    def seal(self, about: str, plain: bytes) -> bytes:
        """Nonce and sealed bytes; they open only with the same `about`, so nobody moves them to another place."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, about.encode())

    def open(self, about: str, sealed: bytes) -> bytes:
        """The same, back again.

        Raises:
            Unreadable: it was sealed otherwise, or changed since.
        """
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
        except (InvalidTag, ValueError):
            raise Unreadable(f"what is sealed as {about.split('|')[0]} does not open: it was changed") from None


class MasterKey:
    """The installation's key, of which each use has a key of its own."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the key of personal data has {KEY_BYTES} bytes")
        self._wrapping = DataKey(_derived(secret, b"wrap"))
        self._lookup = _derived(secret, b"lookup")
        self.key_id = _derived(secret, b"id").hex()[:32]
        """Names the key and tells nothing of it."""

    def new_wrapped(self, person: str) -> bytes:
        """A new data key for this person, wrapped."""
        return self._wrapping.seal(f"data key|{person}", secrets.token_bytes(KEY_BYTES))

    def unwrapped(self, person: str, wrapped: bytes) -> DataKey:
        """The person's data key.

        Raises:
            Unreadable: another key wrapped it, or it is another person's.
        """
        return DataKey(self._wrapping.open(f"data key|{person}", wrapped))

    def lookup(self, kind: str, text: str) -> str:
        """By what something is found again that is kept sealed: HMAC-SHA256, hexadecimal."""
        return hmac.new(self._lookup, f"{kind}|{text}".encode(), hashlib.sha256).hexdigest()


def words_mac(salt: bytes, words: str) -> str:
    """What the ledger keeps of words: HMAC-SHA256 under a random salt. Without the salt it fits any words."""
    return hmac.new(salt, words.encode(), hashlib.sha256).hexdigest()


def read_key(path: Path) -> MasterKey | None:
    """The key in this file; None: there is no such file.

    Raises:
        InvalidInput: the file holds none, or others may read it.
    """
    try:
        found = path.stat()
        secret = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"QM_PERSONAL_KEY_FILE: {path} cannot be read ({type(error).__name__})") from None
    if found.st_mode & 0o077:
        raise InvalidInput(f"{path} opens everybody's personal data, and others may read it: chmod 600 {path}")
    if len(secret) != KEY_BYTES:
        raise InvalidInput(f"{path} is no key of personal data ({KEY_BYTES} bytes): put the right file back")
    return MasterKey(secret)


def make_key(path: Path) -> MasterKey:
    """A new key in a new file that its owner alone can read; the one that is there when somebody was quicker.

    Raises:
        InvalidInput: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            write_once(path, secrets.token_bytes(KEY_BYTES))
    except OSError as error:
        raise InvalidInput(f"QM_PERSONAL_KEY_FILE: {path} cannot be written ({type(error).__name__})") from None
    key = read_key(path)
    if key is None:
        raise InvalidInput(f"QM_PERSONAL_KEY_FILE: {path} was removed while it was made")
    return key


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"qm.personal.v1 " + use).derive(secret)
