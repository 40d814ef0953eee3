# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's RADOS Gateway on a cluster of one monitor and one OSD in memory, in a root directory of scripts/steps/rgw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ansible_collections.matrixops.synapse_s3.tests.compat.server import Server, certificate_of, said_by
from ansible_collections.matrixops.synapse_s3.tests.s3_server import (
    ADMIN_KEY,
    ADMIN_SECRET,
    CACHE,
    REGION,
    S3Server,
    free_port,
    run_server,
)

# Its processes and mounts are its own, and end with it. On SIGTERM, which unshare holds back from what it runs.
_APART = """\
unshare --mount --pid --fork --kill-child sh -euc '
    mount --bind "$1" "$0/mnt"
    mount -t proc proc "$0/proc"
    exec /usr/sbin/chroot "$0" sh -eu /mnt/cluster' "$0" "$1" &
trap 'kill -KILL $!' TERM
wait
"""

# In the root directory, from whose top Ceph 18 looks for its classes. $CEPH_CONF is known to all of Ceph's programs.
_CLUSTER = """\
export CEPH_CONF=/mnt/ceph.conf
mkdir /mnt/mon /mnt/osd /mnt/run
monmaptool --create --fsid {fsid} --addv a '{monitor}' /mnt/monmap
ceph-mon --id a --mkfs --monmap /mnt/monmap
ceph-mon --id a --foreground &
ceph osd create
ceph-osd --id 0 --mkfs
ceph-osd --id 0 --foreground &
radosgw-admin user create --uid test --display-name test --access-key {key} --secret {secret} --max-buckets 0 \
    --caps "users=*"
# Its region is the zone group's name in the API.
radosgw-admin zonegroup get | sed 's/"api_name": "[^"]*"/"api_name": "{region}"/' > /mnt/zonegroup
radosgw-admin zonegroup set < /mnt/zonegroup
exec radosgw --name client.rgw --foreground
"""

_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = {monitor}
auth cluster required = none
auth service required = none
auth client required = none
# The gateway wants it "secure", which nothing is without authentication.
ms mon client mode = crc
public addr = 127.0.0.1
cluster addr = 127.0.0.1
mon data = /mnt/mon
osd data = /mnt/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
admin socket = /mnt/run/$name.asok
run dir = /mnt/run
log to stderr = true
log file =
mon cluster log file =
debug rocksdb = 0
rgw frontends = beast {frontend}
"""

_FSID = "6d617472-6978-4f70-8000-000000000001"
# 20 seconds when nothing else runs: the cluster is new, and each of its programs waits for the one before.
_START_TIMEOUT = 300


@contextmanager
def _run(suite: str, directory: Path, tls: bool) -> Iterator[S3Server]:
    certificate = certificate_of(directory, tls=tls)
    server = S3Server(f"127.0.0.1:{free_port()}", certificate and certificate[0])
    monitor = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
    frontend = f"endpoint={server.host}"
    if certificate:
        frontend = f"ssl_endpoint={server.host} ssl_certificate=/mnt/certs/public.crt"
        frontend += " ssl_private_key=/mnt/certs/private.key"
    (directory / "ceph.conf").write_text(_CONFIGURATION.format(fsid=_FSID, monitor=monitor, frontend=frontend))
    (directory / "cluster").write_text(
        _CLUSTER.format(fsid=_FSID, monitor=monitor, key=ADMIN_KEY, secret=ADMIN_SECRET, region=REGION)
    )
    command: list[str | Path] = ["sh", "-euc", _APART, _root(suite), directory]
    with run_server(server, command, directory, {}, _START_TIMEOUT):
        yield server


def _root(suite: str) -> Path:
    return CACHE / "servers" / f"rgw-{suite}"


def _version(suite: str) -> str:
    return said_by("dpkg-query", f"--admindir={_root(suite) / 'var/lib/dpkg'}", "-W", "-f", "${Version}", "radosgw")


_NO_ETAG = dict.fromkeys(
    (
        f"test_content_comes_back_as_it_was_put[{content}]"
        for content in ("smallest multipart", "one byte in the second part", "20 MiB")
    ),
    "no ETag in the answer to an upload in parts; what was stored is looked up",
)


def _server(release: int, suite: str, debian: int, lacks: Mapping[str, str]) -> Server:
    return Server(
        name=f"Ceph-{release}",
        step=f"rgw{release}",
        obtained=f"Debian {debian} (its RADOS Gateway, on a cluster of one monitor and one OSD in memory)",
        version=partial(_version, suite),
        start=partial(_run, suite),
        lacks=lacks,
        notes=(
            "It encrypts with a customer's key (SSE-C) only over https, unless `rgw crypt require ssl` is false.",
            "In a bucket with versions it passes over `If-None-Match`, and for an object in parts always: `preflight`"
            " says so, and each key is looked up right before it is written.",
            "It takes a request that is signed for any region. Storage classes beside STANDARD are set up by its"
            " administrator.",
        ),
    )


SERVER_16 = _server(16, "bookworm", 12, _NO_ETAG)
SERVER_18 = _server(18, "trixie", 13, {})
