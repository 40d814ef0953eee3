# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import os
import re
import tempfile
from pathlib import Path
from threading import Event

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.copy_with import (
    NEXT,
    copy_all,
    list_free,
    new_summary,
    private_directory,
    tool_environment,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.copy_with import Call, Copy, Secret
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.errors import (
    MediaError,
    UnavailableError,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.media_store import MediaStore
from ansible_collections.matrixops.synapse_s3.tests.unit.fakes import MemoryStore

COMMANDS = [("tool", "copy", f"/media/{root}", f"s3://b/hs-{root}") for root in ("local_content", "remote_content")]
CALL = Call("tool", COMMANDS)


def program(tmp_path: Path, script: str) -> str:
    path = tmp_path / "tool"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_environment_of_the_tool() -> None:
    """What would lead a tool elsewhere stays out."""
    caller = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        **dict.fromkeys(("RCLONE_S3_ENDPOINT", "S3_ENDPOINT_URL", "B2_ACCOUNT_INFO", "PYTHONPATH"), "other"),
        **dict.fromkeys(("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID"), "other"),
    }
    kept = {name: caller[name] for name in ("PATH", "HTTPS_PROXY", "AWS_SHARED_CREDENTIALS_FILE")}
    call = Call("tool", [], {"AWS_REGION": "eu-1"}, {"AWS_ACCESS_KEY_ID": Secret("access_key_id", "the-id")})

    assert tool_environment(caller, call) == {**kept, "AWS_REGION": "eu-1", "AWS_ACCESS_KEY_ID": "the-id"}
    # Those of the host are used where Synapse's configuration has none.
    of_host = dict.fromkeys(("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"), "other")
    assert tool_environment(caller, Call("tool", [])) == {**kept, **of_host}


def test_each_directory_is_copied_although_one_fails(tmp_path: Path) -> None:
    tool = program(tmp_path, f'echo "$2" >>{tmp_path}/copied\ncase $2 in *local_content) exit 3 ;; esac')
    summary, stderr = new_summary("tool"), io.StringIO()

    copy_all(CALL, tool, str(tmp_path), summary, lock=2, stop=Event(), stderr=stderr)

    assert (tmp_path / "copied").read_text().splitlines() == ["/media/local_content", "/media/remote_content"]
    assert summary.errors == [
        "Could not finish tool to s3://b/hs-local_content: it ended with status 3. See its output above."
    ]
    assert summary.exit_status == 1
    assert summary.as_json()["directories"] == {"local_content": 3, "remote_content": 0}
    assert summary.as_text() == f"NOT ALL COPIED, for the reason above (0.0 s). {NEXT}"
    assert stderr.getvalue().splitlines() == [
        f"tool: /media/{root} to s3://b/hs-{root}" for root in ("local_content", "remote_content")
    ]


def test_tool_that_is_killed(tmp_path: Path) -> None:
    summary = new_summary("tool")

    copy_all(
        Call("tool", COMMANDS[:1]),
        program(tmp_path, "kill -KILL $$"),
        str(tmp_path),
        summary,
        lock=2,
        stop=Event(),
        stderr=io.StringIO(),
    )

    assert summary.errors == [
        "Could not finish tool to s3://b/hs-local_content: signal 9 has ended it. See its output above."
    ]


def test_tool_that_can_not_be_run(tmp_path: Path) -> None:
    tool = program(tmp_path, "")
    Path(tool).chmod(0o644)

    with pytest.raises(UnavailableError) as caught:
        copy_all(CALL, tool, str(tmp_path), new_summary("tool"), lock=2, stop=Event(), stderr=io.StringIO())

    assert str(caught.value) == (
        f"Could not run {tool!r}: Permission denied. Install it anew, and see that Synapse's user may run it."
    )


def test_key_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    call = Call("tool", COMMANDS[:1], files={"key": Secret("sse_customer_key", "the-key")})
    with private_directory() as directory:
        tool = program(tmp_path, f"stat -c %a {directory} {directory}/key >{tmp_path}/modes; cat {directory}/key >&2")
        copy_all(call, tool, directory, new_summary("tool"), lock=2, stop=Event(), stderr=io.StringIO())
        assert Path(directory, "key").read_text() == "the-key"

    assert (tmp_path / "modes").read_text().split() == ["700", "600"]
    assert not Path(directory).exists()


def test_no_room_for_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))

    with pytest.raises(UnavailableError) as caught, private_directory():
        pass

    assert str(caught.value) == (
        f"Could not keep what the tool needs in a temporary file in {str(tmp_path / 'missing')!r}: No such file or"
        " directory. Make room there, or name another directory in the environment variable TMPDIR."
    )


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({}, f"tool has copied, and told of no failure (2.5 s). {NEXT}"),
        ({"refused_with": 69}, "NOTHING WAS COPIED, for the reason above (2.5 s)."),
        (
            {"interrupted_by": 15},
            f"INTERRUPTED. tool was ended; what it has copied stays in the bucket (2.5 s). {NEXT}",
        ),
    ],
)
def test_how_the_end_is_told(attributes: dict[str, int], text: str) -> None:
    summary = new_summary("tool")
    summary.seconds = 2.5
    for name, value in attributes.items():
        setattr(summary, name, value)
    summary.facts.append("A fact.")

    assert summary.as_text() == f"  A fact.\n{text}"


def test_list_of_what_is_free(tmp_path: Path) -> None:
    """Neither what is there, whatever it holds, nor what is too young, nor what Synapse did not write."""
    media = tmp_path / "media"
    for path, modified in {"aa/bb/free": 400, "aa/bb/there": 400, "aa/bb/young": 401, "x": 400}.items():
        file = media / "local_content" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"1")
        os.utime(file, (modified, modified))
    (media / "remote_content").mkdir()
    store = MemoryStore({"hs/local_content/aa/bb/there": b"whole"})
    roots = ["local_content", "remote_content"]
    copy = Copy(str(media), roots, BucketSettings("b", prefix="hs/"), None, 600, 1000, str(tmp_path))
    failures: list[MediaError] = []

    list_free(MediaStore(media), store, copy, failures.append)

    assert failures == []
    assert [(tmp_path / root).read_text() for root in roots] == ["aa/bb/free\n", ""]


def test_no_room_for_the_list(tmp_path: Path) -> None:
    directory = str(tmp_path / "missing")
    copy = Copy(str(tmp_path), ["local_content"], BucketSettings("b"), None, 0, 0, directory)

    with pytest.raises(UnavailableError) as caught:
        list_free(MediaStore(tmp_path), MemoryStore({}), copy, lambda _error: None)

    assert re.fullmatch(
        r"Could not keep what the tool needs in a temporary file( in '[^']+')?: No such file or directory\. Make room"
        r" there, or name another directory in the environment variable TMPDIR\.",
        str(caught.value),
    )
