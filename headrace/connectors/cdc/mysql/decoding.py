"""Values in the binary log: from the bytes of a row image to what the server would have written as text.

The layouts are those of MySQL's `Field::pack`, the same in MariaDB; temporal types are those of MySQL 5.6 and later.
"""

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

Read = Callable[[bytes, int], tuple[Any, int]]
"""Called with the row images and where the value begins; returns it and where the next one begins."""

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24 = 1, 2, 3, 4, 5, 8, 9
TIMESTAMP, DATE, TIME, DATETIME, YEAR, VARCHAR, BIT = 7, 10, 11, 12, 13, 15, 16
TIMESTAMP2, DATETIME2, TIME2 = 17, 18, 19
JSON, NEWDECIMAL, ENUM, SET, BLOB, STRING, GEOMETRY = 245, 246, 247, 248, 252, 254, 255
SIZES: Final = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
_EPOCH = datetime(1970, 1, 1)  # in UTC, and written without a zone


def integer(size: int, *, is_unsigned: bool) -> Read:
    """A number of so many bytes."""

    def read(data: bytes, at: int) -> tuple[int, int]:
        end = at + size
        return int.from_bytes(data[at:end], "little", signed=not is_unsigned), end

    return read


def floating(form: str) -> Read:
    """A number in the form of `struct`."""
    unpack, size = struct.Struct(form).unpack_from, struct.calcsize(form)

    def read(data: bytes, at: int) -> tuple[float, int]:
        return unpack(data, at)[0], at + size

    return read


def year(data: bytes, at: int) -> tuple[int, int]:
    """One byte, counted from 1900; zero is the year 0."""
    return (data[at] + 1900 if data[at] else 0), at + 1


def counted(length_size: int) -> Read:
    """Bytes with their length in front."""

    def read(data: bytes, at: int) -> tuple[bytes, int]:
        begin = at + length_size
        end = begin + int.from_bytes(data[at:begin], "little")
        return data[begin:end], end

    return read


def padded(inner: Read, size: int) -> Read:
    """Bytes of fixed length, of which the log leaves out the zeros at the end."""

    def read(data: bytes, at: int) -> tuple[bytes, int]:
        value, end = inner(data, at)
        return value.ljust(size, b"\0"), end

    return read


def text(inner: Read, encoding: str) -> Read:
    """Text in one of Python's encodings."""
    if encoding == "utf-8":

        def read_utf8(data: bytes, at: int) -> tuple[str, int]:
            value, end = inner(data, at)
            return value.decode(), end

        return read_utf8

    def read(data: bytes, at: int) -> tuple[str, int]:
        value, end = inner(data, at)
        return decoded(value, encoding), end

    return read


def decoded(value: bytes, encoding: str) -> str:
    """Text; the signs that cp1252 leaves open are what the server takes them for: those of the same number."""
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "cp1252":
            return value.decode(encoding, "replace")
    open_signs = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
    return "".join(
        chr(sign) if sign in open_signs else bytes((sign,)).decode("cp1252") for sign in value
    )


def bits(size: int) -> Read:
    """Bits as bytes, big-endian."""

    def read(data: bytes, at: int) -> tuple[bytes, int]:
        return data[at : at + size], at + size

    return read


def enum(size: int, labels: tuple[str, ...]) -> Read:
    """Labels are numbered from one; zero is a value that was refused, and reads as empty."""

    def read(data: bytes, at: int) -> tuple[str, int]:
        end = at + size
        number = int.from_bytes(data[at:end], "little")
        return (labels[number - 1] if number else ""), end

    return read


def choices(size: int, labels: tuple[str, ...]) -> Read:
    """The labels of a set, one bit each, as the server writes them."""

    def read(data: bytes, at: int) -> tuple[str, int]:
        end = at + size
        chosen = int.from_bytes(data[at:end], "little")
        return ",".join(one for bit, one in enumerate(labels) if chosen >> bit & 1), end

    return read


def decimal(precision: int, scale: int) -> Read:
    """Nine digits to four bytes, big-endian, the first bit inverted; all bits inverted where it is negative."""
    whole, left = divmod(precision - scale, 9)
    parts, right = divmod(scale, 9)
    groups = [left] * (left > 0) + [9] * (whole + parts) + [right] * (right > 0)
    sizes = [_DIGIT_BYTES[digits] for digits in groups]
    size = sum(sizes)
    inverted = (1 << 8 * size) - 1
    first_bit = 1 << (8 * size - 1)
    whole_digits = precision - scale

    def read(data: bytes, at: int) -> tuple[str, int]:
        end = at + size
        number = int.from_bytes(data[at:end], "big") ^ first_bit
        sign = ""
        if number & first_bit:
            number ^= inverted
            sign = "-"
        packed = number.to_bytes(size, "big")
        digits, begin = "", 0
        for count, length in zip(groups, sizes, strict=True):
            digits += f"{int.from_bytes(packed[begin : begin + length], 'big'):0{count}d}"
            begin += length
        before = digits[:whole_digits].lstrip("0") or "0"
        return (f"{sign}{before}.{digits[whole_digits:]}" if scale else sign + before), end

    return read


# Times


def date(data: bytes, at: int) -> tuple[str, int]:
    """Three bytes: the year, four bits of month, five of day."""
    end = at + 3
    packed = int.from_bytes(data[at:end], "little")
    return f"{packed >> 9:04d}-{packed >> 5 & 15:02d}-{packed & 31:02d}", end


def _fraction(data: bytes, at: int, digits: int) -> tuple[str, int]:
    if not digits:
        return "", at
    size = (digits + 1) // 2
    end = at + size
    return f".{int.from_bytes(data[at:end], 'big'):0{2 * size}d}"[: digits + 1], end


def datetime2(digits: int) -> Read:
    """Forty bits: 13 months to a year, days, hours, minutes, seconds; then so many digits of a second."""

    def read(data: bytes, at: int) -> tuple[str, int]:
        packed = int.from_bytes(data[at : at + 5], "big") - 0x8000000000
        months = packed >> 22
        fraction, end = _fraction(data, at + 5, digits)
        return (
            f"{months // 13:04d}-{months % 13:02d}-{packed >> 17 & 31:02d} "
            f"{packed >> 12 & 31:02d}:{packed >> 6 & 63:02d}:{packed & 63:02d}{fraction}"
        ), end

    return read


def timestamp2(digits: int) -> Read:
    """In UTC; zero is what the server writes as 0000-00-00."""

    def read(data: bytes, at: int) -> tuple[str, int]:
        seconds = int.from_bytes(data[at : at + 4], "big")
        fraction, end = _fraction(data, at + 4, digits)
        if not seconds:
            return f"0000-00-00 00:00:00{fraction}", end
        return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat(' ')}{fraction}", end

    return read


def time2(digits: int) -> Read:
    """A length of time, between -838 and 838 hours."""
    size = (digits + 1) // 2
    shift = 8 * size
    zero = 0x800000 << shift

    def read(data: bytes, at: int) -> tuple[str, int]:
        end = at + 3 + size
        packed = int.from_bytes(data[at:end], "big") - zero
        sign = "-" if packed < 0 else ""
        packed = abs(packed)
        whole = packed >> shift
        fraction = packed & ((1 << shift) - 1)
        part = f".{fraction:0{2 * size}d}"[: digits + 1] if digits else ""
        return f"{sign}{whole >> 12 & 1023:02d}:{whole >> 6 & 63:02d}:{whole & 63:02d}{part}", end

    return read
