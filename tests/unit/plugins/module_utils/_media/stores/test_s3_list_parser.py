# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_list_parser import (
    ListParserFactory,
    _split_plain,
    _split_xml,
    split_entries,
)
from botocore.parsers import ResponseParserError, create_parser
from hypothesis import given
from hypothesis import strategies as st

# What XML 1.0 can hold as it is.
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8)
ENTRIES = st.lists(st.fixed_dictionaries({"Key": TEXT, "ETag": TEXT, "StorageClass": TEXT, "Size": st.integers(0)}))


def shape(operation: str = "ListObjectsV2") -> Any:
    return botocore.session.get_session().get_service_model("s3").operation_model(operation).output_shape


def page(contents: str, rest: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{contents}{rest}</ListBucketResult>'.encode()


def both(body: bytes, status: int = 200, operation: str = "ListObjectsV2") -> tuple[Any, Any]:
    """The answer as this and as botocore alone reads it."""
    response = {"status_code": status, "headers": {"Date": "today"}, "body": body}
    ours = ListParserFactory().create_parser("rest-xml").parse(response, shape(operation))
    return ours, create_parser("rest-xml").parse(response, shape(operation))


@given(entries=ENTRIES, token=TEXT)
def test_as_botocore_reads_it(entries: list[dict[str, Any]], token: str) -> None:
    contents = "".join(
        f"<Contents>{''.join(f'<{name}>{escape(str(value))}</{name}>' for name, value in entry.items())}</Contents>\n"
        for entry in entries
    )
    rest = f"<KeyCount>{len(entries)}</KeyCount><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
    ours, botocore_s = both(page(contents, f"{rest}<NextContinuationToken>{escape(token)}</NextContinuationToken>"))
    assert ours == botocore_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T19:00:00.123Z", "2026-11-28T19:00:00.123Z"),
        ("2026-11-28T19:00:00+01:00", datetime(2026, 11, 28, 19, tzinfo=timezone(timedelta(hours=1)))),
        ("yesterday", "yesterday"),
    ],
)
def test_dates_in_s3_s_own_form_stay_text(text: str, expected: object) -> None:
    found = split_entries(page(f"<Contents><LastModified>{text}</LastModified></Contents>"))
    assert found is not None
    assert found[0] == [{"LastModified": expected}]


KEY, SIZE = "<Key>a</Key>", "<Size>1</Size>"
OWNER = "<Owner>\n <ID>x</ID><DisplayName>y</DisplayName></Owner>"


@pytest.mark.parametrize(
    "contents",
    [
        f"<Contents>{SIZE}{OWNER}{KEY}</Contents>",
        f"\n <Contents>\n  {KEY}\n  {SIZE}\n </Contents>\n <Contents>{KEY}</Contents>\n",
        f"<Contents><ETag>&quot;abc&quot;</ETag>{KEY}</Contents><Contents><ETag>&#34;abc-2&#34;</ETag>{KEY}</Contents>",
        f"<Contents>{KEY}<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType></Contents>",
        "<Contents><Key/></Contents><Contents></Contents>",
    ],
)
def test_what_servers_write_is_read_without_an_xml_parser(contents: str) -> None:
    plain, xml = _split_plain(page(contents)), _split_xml(page(contents))
    assert xml is not None
    if "<Key/>" not in contents:
        assert plain is not None
        assert plain[0] == xml[0]
    assert split_entries(page(contents)) == (plain or xml)


@pytest.mark.parametrize("between", ["", "&amp;"])
def test_two_entries_that_ran_together_are_not_one(between: str) -> None:
    """The first of the two objects was left out without a word, where the server gives no count of keys."""
    contents = f"<Contents>{KEY}{SIZE}<Key>{between}b</Key>{SIZE}</Contents><Contents><Key>c</Key>{SIZE}</Contents>"
    found = split_entries(page(contents))
    assert found is not None
    # Without a key the listing is refused.
    assert found[0] == [{}, {"Key": "c", "Size": 1}]


@pytest.mark.parametrize(
    "body",
    [
        # An entry that an expression would find, or would not: the whole page is read as XML.
        page(f"<!-- <Contents>{KEY}{SIZE}</Contents> -->"),
        page(f"<Contents>{KEY}</Contents><Contents/>"),
        page(f"<Contents>{KEY}</Contents><Contents a='b'>{KEY}</Contents>"),
        page("<Contents><Key>a&amp;b</Key></Contents>"),
        page("<Contents><Key><![CDATA[<Key>b</Key>]]></Key></Contents>"),
        page(f"<Contents>{KEY}<Restored><Key>b</Key></Restored></Contents>"),
        page("<Contents><Key>a\nb</Key></Contents>"),
        page(f"<Contents>{KEY}</Contents>", "<Name>Contents</Name>"),
        page(f"<Contents>{KEY}</Contents>").decode().replace("UTF-8", "ISO-8859-1").encode(),
        b'<s:ListBucketResult xmlns:s="s"><s:Contents><s:Key>a</s:Key></s:Contents></s:ListBucketResult>',
        page(f"<Contents>{KEY}{SIZE}{OWNER}</Contents>"),
        page("<Contents><Size>1</Size></Contents>"),
        page("<Contents><Key>a</Key></Contents>"),
        page(""),
        page("", ""),
        b"<html><body>Welcome</body></html>",
        b"<ListBucketResult/>",
    ],
)
def test_what_is_unusual_is_read_as_by_botocore(body: bytes) -> None:
    ours, botocore_s = both(body)
    for entry in botocore_s.get("Contents", []):
        entry.pop("Owner", None)
    assert ours == botocore_s


@pytest.mark.parametrize("body", [b"<ListBucketResult>", b"no XML", page("<Contents><Size>many</Size></Contents>")])
def test_what_botocore_can_t_read_is_its_error(body: bytes) -> None:
    with pytest.raises((ResponseParserError, ValueError)) as theirs:
        create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": body}, shape())
    with pytest.raises(type(theirs.value)):
        ListParserFactory().create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": body}, shape())


def test_errors_and_other_answers_are_botocore_s() -> None:
    error = b"<Error><Code>SlowDown</Code><Message>m</Message></Error>"
    for ours, botocore_s in (
        both(error, 503),
        both(page(""), operation="ListObjects"),
        both(b"", operation="HeadObject"),
    ):
        assert ours == botocore_s
