# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.compat.server import Server, certificate_of, said_by
from ansible_collections.matrixops.synapse_s3.tests.compat.terminator import terminate_tls
from ansible_collections.matrixops.synapse_s3.tests.s3_server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    REGION,
    S3Server,
    built,
    free_port,
    run_server,
)

_CONFIGURATION = """\
metadata_dir = "{directory}/meta"
data_dir = "{directory}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secret}"

[s3_api]
s3_region = "{region}"
api_bind_addr = "{host}"
root_domain = ".s3.test"

[admin]
api_bind_addr = "127.0.0.1:{admin}"
admin_token = "of this test alone"
"""


@contextmanager
def _run(directory: Path, tls: bool) -> Iterator[S3Server]:
    plain = S3Server(f"127.0.0.1:{free_port()}")
    configuration = directory / "garage.toml"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory, rpc=free_port(), admin=free_port(), secret="0" * 64, region=REGION, host=plain.host
        ),
        encoding="utf-8",
    )
    configuration.chmod(0o600)
    program: list[str | Path] = [built("garage", "garage"), "-c", configuration]
    environment = {
        "GARAGE_DEFAULT_ACCESS_KEY": ADMIN_KEY,
        "GARAGE_DEFAULT_SECRET_KEY": ADMIN_SECRET,
        "GARAGE_DEFAULT_BUCKET": "test-default",
    }
    command = [*program, "server", "--single-node", "--default-bucket"]
    with run_server(plain, command, directory, environment):
        allow = [*map(str, program), "key", "allow", "--create-bucket", ADMIN_KEY]
        subprocess.run(allow, check=True, capture_output=True)
        if certificate := certificate_of(directory, tls=tls):
            # It speaks no TLS itself.
            with terminate_tls(plain.host, *certificate) as host:
                yield S3Server(host, certificate[0])
        else:
            yield plain


SERVER = Server(
    name="Garage",
    step="garage",
    obtained="its crate (by https behind a program that speaks TLS for it)",
    version=lambda: said_by(built("garage", "garage"), "--version").split()[1],
    start=_run,
    lacks=dict.fromkeys(
        (
            "test_a_taken_key_keeps_its_content[single]",
            "test_content_that_is_already_there_is_taken_too[5]",
            "test_of_many_writers_one_wins",
        ),
        "it passes over `If-None-Match`, which the suite takes for granted; the commands find that out",
    ),
    notes=(
        "It passes over `If-None-Match`: each key is looked up right before it is written, and `preflight`, `migrate`"
        " and `status` say so.",
    ),
)
