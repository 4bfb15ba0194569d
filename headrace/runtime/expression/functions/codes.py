"""Hashes, identifiers and encodings of text."""

import base64
import binascii
import hashlib
import urllib.parse
import uuid
import zlib
from typing import Any, Final

from headrace.runtime.expression.errors import EvaluationError
from headrace.runtime.expression.functions.table import Function, function, refuse
from headrace.runtime.expression.limits import RESULT_CHARACTERS_MAX


def sha256(text: Any) -> str:
    """The SHA-256 of text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(_encoded("sha256", text)).hexdigest()


def md5(text: Any) -> str:
    """The MD5 of text in UTF-8, as 32 hexadecimal digits; for partitioning and legacy systems, not for safety."""
    return hashlib.md5(_encoded("md5", text), usedforsecurity=False).hexdigest()


def crc32(text: Any) -> int:
    """The CRC-32 of text in UTF-8, a number from 0 to 4294967295."""
    return zlib.crc32(_encoded("crc32", text))


def uuid5(name: Any, namespace: Any = None) -> str:
    """The UUID (version 5, RFC 9562) of a name: the same for the same name, always; in the OID namespace by default."""
    _encoded("uuid5", name)
    if namespace is None:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    try:
        return str(uuid.uuid5(uuid.UUID(namespace), name))
    except (ValueError, AttributeError, TypeError):
        raise EvaluationError("uuid5 needs a UUID as its namespace") from None


def base64_encode(text: Any) -> str:
    """Base64 of text in UTF-8."""
    return _bounded("base64_encode", base64.b64encode(_encoded("base64_encode", text)).decode())


def base64_decode(text: Any) -> str:
    """The text, in UTF-8, that Base64 stands for; the URL-safe alphabet and missing padding are fine."""
    encoded = _encoded("base64_decode", text).rstrip(b"=").translate(_URL_SAFE)
    try:
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise EvaluationError("base64_decode needs Base64 of text in UTF-8") from None


def url_encode(text: Any) -> str:
    """Text as a part of a URL, with everything special escaped."""
    return _bounded("url_encode", urllib.parse.quote(_encoded("url_encode", text), safe=""))


def url_decode(text: Any) -> str:
    """The text of an escaped part of a URL."""
    if type(text) is not str:
        raise refuse("url_decode", "text", text)
    return urllib.parse.unquote(text)


def _encoded(name: str, text: Any) -> bytes:
    if type(text) is bytes:
        return text
    if type(text) is not str:
        raise refuse(name, "text", text)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise EvaluationError(
            f"{name} needs text without half characters (lone surrogates)"
        ) from None


def _bounded(name: str, text: str) -> str:
    if len(text) > RESULT_CHARACTERS_MAX:
        raise EvaluationError(
            f"the result of {name} is longer than {RESULT_CHARACTERS_MAX:,} characters"
        )
    return text


_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")

FUNCTIONS: Final[tuple[Function, ...]] = (
    function("sha256", sha256, "text"),
    function("md5", md5, "text"),
    function("crc32", crc32, "number"),
    function("uuid5", uuid5, "text"),
    function("base64_encode", base64_encode, "text"),
    function("base64_decode", base64_decode, "text"),
    function("url_encode", url_encode, "text"),
    function("url_decode", url_decode, "text"),
)
