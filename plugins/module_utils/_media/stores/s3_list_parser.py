# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a listing, read out of the server's answer without boto3, which takes thirty times as long over them.

Those that look as a server's do are read with an expression. One that does not, and the page is read as XML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

from .libraries import botocore

_ANSWER = "ListObjectsV2Output"
_TEXTS = frozenset({"Key", "ETag", "StorageClass"})
# The beginning of a page. Without a "<!" it has no comment, nor anything else that would hide an entry.
_HEAD = re.compile(rb"(?:<\?xml [^<>]*\?>\s*)?<ListBucketResult[\s>]")
_BEGIN, _KEY, _END = b"<Contents>", b"<Key>", b"</Contents>"
# What XML gives as it stands.
_TEXT = r"[^<>&\x00-\x1f\ufffe\uffff]*"
_QUOTE = "(?:&#34;|&quot;)?"
# In the order of the groups.
_FIELDS = ("Key", "Size", "LastModified", "ETag", "StorageClass")
_ENTRY = re.compile(
    rf"\s*<Contents>(?:\s*<(?:Key>({_TEXT})</Key|Size>([0-9]{{1,20}})</Size|LastModified>({_TEXT}Z)</LastModified"
    rf"|ETag>({_QUOTE}{_TEXT}{_QUOTE})</ETag|StorageClass>({_TEXT})</StorageClass"
    rf"|Owner>(?:\s*<(?:ID|DisplayName)>{_TEXT}</(?:ID|DisplayName)>)*\s*</Owner"
    rf"|Checksum(?:Algorithm|Type)>{_TEXT}</Checksum(?:Algorithm|Type))>)*\s*"
)


class ListParserFactory:
    """Makes botocore's parsers, as its session's component ``response_parser_factory``.

    The dates of entries stay text in S3's own form.
    """

    def __init__(self) -> None:
        self._factory = botocore.parsers.ResponseParserFactory()

    def create_parser(self, protocol_name: str) -> _ListParser:
        return _ListParser(self._factory.create_parser(protocol_name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


class _ListParser:
    """Reads the entries, and leaves the rest of the answer, and every answer that is not a usual list, to botocore."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def parse(self, response: Mapping[str, Any], shape: Any) -> Any:
        if shape is None or shape.name != _ANSWER or (split := split_entries(response["body"])) is None:
            return self._parser.parse(response, shape)
        entries, rest = split
        parsed = self._parser.parse({**response, "body": rest}, shape)
        return {**parsed, "Contents": entries} if entries else parsed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def split_entries(body: bytes) -> tuple[list[dict[str, Any]], bytes] | None:
    """The entries of a page of ListObjectsV2 as boto3 gives them, and the page without them; None for another answer.

    An entry without a key or a size stays without. One with two keys is two that ran together, and has none: to take
    one of them would leave out an object.
    """
    return _split_plain(body) or _split_xml(body)


def _split_plain(body: bytes) -> tuple[list[dict[str, Any]], bytes] | None:
    """The same of a page all of whose entries look as a server's do; None for another one."""
    start, end = body.find(_BEGIN), body.rfind(_END)
    rest = body[:start] + body[end + len(_END) :]
    if start < 0 or not _HEAD.match(body) or b"<!" in body or b"Contents" in rest:
        return None
    entries = []
    try:
        for text in body[start:end].decode().split(_END.decode()):
            found = _ENTRY.fullmatch(text)
            if found is None:
                return None
            values = found.groups()
            entry: dict[str, Any] = dict(zip(_FIELDS, values, strict=True))
            if None in values:
                entry = {name: value for name, value in entry.items() if value is not None}
            if "Size" in entry:
                entry["Size"] = int(entry["Size"])
            if "ETag" in entry:
                entry["ETag"] = entry["ETag"].replace("&#34;", '"').replace("&quot;", '"')
            entries.append(entry)
    except UnicodeDecodeError:
        return None
    return None if body.count(_KEY) > len(entries) else (entries, rest)


def _split_xml(body: bytes) -> tuple[list[dict[str, Any]], bytes] | None:
    """The same of any page."""
    try:
        page = ET.fromstring(body)  # noqa: S314 (botocore would read it with the same parser)
        if _name(page) != "ListBucketResult":
            return None
        entries = [_entry(child) for child in page if _name(child) == "Contents"]
    except (ET.ParseError, ValueError):
        return None
    page[:] = [child for child in page if _name(child) != "Contents"]
    return entries, ET.tostring(page)


def _entry(contents: ET.Element) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for field in contents:
        name = _name(field)
        if name == "Key" and name in entry:
            return {}
        if name in _TEXTS:
            entry[name] = field.text or ""
        elif name == "Size":
            entry[name] = int(field.text or "")
        elif name == "LastModified":
            entry[name] = _date(field.text or "")
    return entry


def _date(text: str) -> Any:
    """As text where it is in S3's own form: boto3 would take longer over it than over all the rest."""
    with suppress(ValueError, RuntimeError):
        return text if text.endswith("Z") else botocore.utils.parse_timestamp(text)
    return text


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
