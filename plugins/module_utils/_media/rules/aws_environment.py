# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables with which a program of Amazon's libraries is right for every S3 server and for every file."""

from __future__ import annotations

from collections.abc import Mapping

SAFE: Mapping[str, str] = {
    # Some servers refuse the newer checksums.
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    # botocore before 1.44 takes the status of a server's answer to an empty file, a success, for that of the next
    # upload on the same connection (boto/botocore issue 3755). From 1.34.43 on it can be told not to.
    "BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE": "true",
}
