# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line without a bucket: tests/integration/test_program.py has the rest."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.cli import main, program
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.cli import run as run_module


def run(*arguments: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    status = main(arguments, stdout, stderr)
    return status, stdout.getvalue(), stderr.getvalue()


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in program._COMMANDS if name != "s3_media_upload")]
)
def test_help(arguments: list[str]) -> None:
    status, stdout, stderr = run(*arguments)

    assert status == 0
    assert stdout.startswith("usage: matrix-synapse-s3-storage-provider")
    assert "69 bucket, database or media store not available" in stdout
    assert stderr == ""


TEST_USAGE: list[tuple[list[str], str]] = [
    ([], "the following arguments are required: COMMAND"),
    (["migrate", "--workers", "0"], "argument --workers: '0' is not a whole number from 1 to 999999999"),
    (["migrate", "--workers", "many"], "argument --workers: 'many' is not a whole number from 1 to 999999999"),
    (["migrate", "--unused-days", "-1"], "argument --unused-days: '-1' is not a whole number from 0 to 999999999"),
    (
        ["migrate", "--unused-days", "1" * 400],
        f"argument --unused-days: '{'1' * 400}' is not a whole number from 0 to 999999999",
    ),
    (
        ["verify", "--sample", "all"],
        "argument --sample: 'all' is no number of media from 1 to 999999999, and no part of them as 5% or 0.5%",
    ),
    (["verify", "--store", "0"], "argument --store: '0' is not a whole number from 1 to 999999999"),
    (
        ["purge-orphans", "--maximum-share", "5"],
        "argument --maximum-share: '5' is not a share. Write a number from 0 to 100 and a percent sign, such as '5%'.",
    ),
    (
        ["migrate", "--engine", "rsync"],
        "argument --engine: invalid choice: 'rsync' (choose from 'parallel', 's3_media_upload')",
    ),
]


@pytest.mark.parametrize(("arguments", "complaint"), TEST_USAGE)
def test_usage(arguments: list[str], complaint: str) -> None:
    status, stdout, stderr = run(*arguments)

    assert status == 2
    assert stdout == ""
    # Python 3.12 and later print choices without quotes.
    assert stderr.splitlines()[-1].partition(": ")[2].replace("'", "") == complaint.replace("'", "")


def test_no_configuration() -> None:
    assert run("status") == (2, "", "Could not start: no configuration was named. Give Synapse's with --config.\n")


def test_missing_configuration(tmp_path: Path) -> None:
    path = str(tmp_path / "homeserver.yaml")

    assert run("--config", path, "preflight") == (
        78,
        "",
        f"Could not read Synapse's configuration {path!r}: there is no such file."
        " Give the path that Synapse is started with.\n",
    )


def write_configuration(tmp_path: Path, **changes: object) -> str:
    path = tmp_path / "homeserver.yaml"
    provider = {
        "module": "s3_storage_provider.S3StorageProviderBackend",
        # Nothing listens there.
        "config": {"bucket": "media", "endpoint_url": "http://127.0.0.1:1", "region_name": "x"},
    }
    configuration = {
        "media_store_path": str(tmp_path),
        "media_storage_providers": [provider],
        "database": {"name": "sqlite3", "args": {"database": str(tmp_path / "homeserver.db")}},
        **changes,
    }
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return str(path)


def test_refused_run_says_so_everywhere(tmp_path: Path) -> None:
    missing = str(tmp_path / "unmounted")
    metrics = tmp_path / "migrate.prom"
    metrics.write_text("synapse_s3_migrate_exit_status 0\n")
    configuration = write_configuration(tmp_path, media_store_path=missing)

    status, stdout, stderr = run("--config", configuration, "migrate", "--json", "--metrics-file", str(metrics))

    message = (
        f"Could not open the media store {missing!r}: there is no such directory."
        " Mount it, or correct media_store_path in Synapse's configuration."
    )
    verdict = "NOTHING WAS DONE, for the reason above. (0 requests to the bucket in "
    result = json.loads(stdout)
    assert status == 69
    assert (result["exit_code"], result["errors"]) == (69, [message])
    assert stderr.splitlines()[0] == message
    assert stderr.splitlines()[1].startswith(verdict)
    assert "synapse_s3_migrate_exit_status 69\n" in metrics.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["homeserver.yaml", "migrate.prom"]


def test_database_that_is_not_there(tmp_path: Path) -> None:
    database = str(tmp_path / "homeserver.db")

    status, _unused, stderr = run("--config", write_configuration(tmp_path), "migrate")

    assert status == 69
    assert stderr == (
        f"Could not open Synapse's database {database!r}: unable to open database file."
        " Check 'database' in Synapse's configuration.\n"
    )


def test_metrics_that_cannot_be_written(tmp_path: Path) -> None:
    metrics = tmp_path / "missing" / "migrate.prom"
    configuration = write_configuration(tmp_path)

    status, _unused, stderr = run("--config", configuration, "migrate", "--metrics-file", str(metrics))

    assert status != 0
    assert stderr.splitlines()[-1] == (
        f"Could not write the metrics file {str(metrics)!r}: No such file or directory. Check its directory."
    )


def test_metrics_that_cannot_be_written_are_in_the_result(tmp_path: Path) -> None:
    """Yet a run that could not begin keeps its exit status."""
    missing = str(tmp_path / "unmounted")
    metrics = tmp_path / "missing" / "migrate.prom"
    configuration = write_configuration(tmp_path, media_store_path=missing)

    status, stdout, _unused = run("--config", configuration, "migrate", "--json", "--metrics-file", str(metrics))

    result = json.loads(stdout)
    assert (status, result["exit_code"]) == (69, 69)
    assert result["errors"][-1] == (
        f"Could not write the metrics file {str(metrics)!r}: No such file or directory. Check its directory."
    )


def test_metrics_whose_place_cannot_even_be_looked_at(tmp_path: Path) -> None:
    """A traceback, and no JSON of a run that had done all its work."""
    metrics = tmp_path / ("x" * 300)
    configuration = write_configuration(tmp_path)

    _status, stdout, stderr = run("--config", configuration, "migrate", "--json", "--metrics-file", str(metrics))

    message = f"Could not write the metrics file {str(metrics)!r}: File name too long. Check its directory."
    assert json.loads(stdout)["errors"][-1] == message
    assert stderr.splitlines()[-1] == message


def test_metrics_whose_place_cannot_even_be_looked_at_after_wrong_usage(tmp_path: Path) -> None:
    status, _unused, _unused_too = run("migrate", "--workers", "0", "--metrics-file", str(tmp_path / ("x" * 300)))

    assert status == 2


def test_metrics_take_the_place_of_no_device(tmp_path: Path) -> None:
    """Root would replace /dev/null by a file."""
    device = tmp_path / "null"
    os.mkfifo(device)

    _status, _stdout, stderr = run("--config", write_configuration(tmp_path), "migrate", "--metrics-file", str(device))

    assert stderr.splitlines()[-1] == (
        f"Could not write the metrics file {str(device)!r}: it is not a regular file."
        " Give the path of a file with --metrics-file."
    )
    assert device.is_fifo()


def test_full_disk_leaves_no_part_of_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = tmp_path / "migrate.prom"
    metrics.write_text("old")
    configuration = write_configuration(tmp_path)

    def replace(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", replace)

    _status, _stdout, stderr = run("--config", configuration, "migrate", "--metrics-file", str(metrics))

    assert stderr.splitlines()[-1] == (
        f"Could not write the metrics file {str(metrics)!r}: No space left on device. Check its directory."
    )
    assert metrics.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["homeserver.yaml", "migrate.prom"]


def test_dry_run_leaves_the_metrics_of_the_last_run(tmp_path: Path) -> None:
    metrics = tmp_path / "migrate.prom"
    metrics.write_text("synapse_s3_migrate_exit_status 1\n")

    run("--config", write_configuration(tmp_path), "migrate", "--dry-run", "--metrics-file", str(metrics))

    assert metrics.read_text() == "synapse_s3_migrate_exit_status 1\n"


@pytest.mark.parametrize("command", ["preflight", "status"])
def test_failure_is_json_too(tmp_path: Path, command: str) -> None:
    path = str(tmp_path / "homeserver.yaml")

    status, stdout, stderr = run("--config", path, command, "--json")

    message = (
        f"Could not read Synapse's configuration {path!r}: there is no such file."
        " Give the path that Synapse is started with."
    )
    assert (status, stderr) == (78, f"{message}\n")
    assert json.loads(stdout) == {"command": command, "errors": [message], "exit_code": 78}


def test_list_of_media_on_a_stdin_that_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the program, it said."""
    monkeypatch.setattr("sys.stdin", None)

    status, stdout, stderr = run("--config", write_configuration(tmp_path), "restore", "--json", "--media", "-")

    message = (
        "Could not restore anything: the list of media on stdin is empty. Write one media URI a line, as"
        " 'mxc://SERVER/ID'."
    )
    assert (status, json.loads(stdout)) == (2, {"command": "restore", "errors": [message], "exit_code": 2})
    assert stderr == f"{message}\n"


SUCCESS = "an earlier run's success\n"


@pytest.mark.parametrize(
    ("arguments", "exit_status"),
    [
        (["restore", "--media", "-"], 2),
        (["purge-orphans", "--delete-versions"], 2),
        (["copy-with", "s5cmd", "--image", "x"], 2),
    ],
)
def test_what_ends_before_the_run_is_in_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], exit_status: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    metrics = tmp_path / "metrics.prom"
    metrics.write_text(SUCCESS)

    status, _unused, _unused_too = run(*arguments, "--metrics-file", str(metrics))

    name = f"synapse_s3_{arguments[0].replace('-', '_')}_exit_status"
    assert status == exit_status
    assert f"{name} {exit_status}\n" in metrics.read_text()


def typed_list() -> Iterator[str]:
    """Somebody still types it when the program is to end."""
    os.kill(os.getpid(), signal.SIGTERM)
    yield "mxc://example.org/x"


def test_signal_while_a_list_is_typed_is_told_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It killed the program without a word."""
    monkeypatch.setattr("sys.stdin", typed_list())
    metrics = tmp_path / "restore.prom"

    status, stdout, stderr = run("restore", "--json", "--media", "-", "--metrics-file", str(metrics))

    message = "Interrupted: nothing more is known."
    assert (status, json.loads(stdout)) == (143, {"command": "restore", "errors": [message], "exit_code": 143})
    assert stderr == f"{message}\n"
    assert "synapse_s3_restore_exit_status 143\n" in metrics.read_text()


def test_library_that_is_missing_is_in_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of Synapse's Python, each night."""
    monkeypatch.setattr(program, "missing_library", lambda: "boto3")
    metrics = tmp_path / "metrics.prom"
    metrics.write_text(SUCCESS)

    status, _unused, _unused_too = run("migrate", "--metrics-file", str(metrics))

    assert status == 78
    assert "synapse_s3_migrate_exit_status 78\n" in metrics.read_text()


@pytest.mark.parametrize("arguments", [["migrate", "--dry-run"], ["purge-orphans"], ["copy-with", "s5cmd", "--print"]])
def test_what_was_to_change_nothing_leaves_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(program, "missing_library", lambda: "boto3")
    metrics = tmp_path / "metrics.prom"
    metrics.write_text(SUCCESS)

    assert run(*arguments, "--metrics-file", str(metrics))[0] == 78
    assert metrics.read_text() == SUCCESS


def test_metrics_that_cannot_be_written_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    metrics = tmp_path / "missing" / "restore.prom"

    status, stdout, _unused = run("restore", "--json", "--media", "-", "--metrics-file", str(metrics))

    assert (status, json.loads(stdout)["errors"][1:]) == (
        2,
        [f"Could not write the metrics file {str(metrics)!r}: No such file or directory. Check its directory."],
    )


@pytest.mark.parametrize(
    "form", ["--metrics-file {}", "--metrics-file={}", "--met {}", "--metrics-file x --metrics={}"]
)
def test_wrong_usage_is_in_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = tmp_path / "migrate.prom"
    metrics.write_text(SUCCESS)

    status, _unused, _unused_too = run("migrate", "--oops", *form.format(metrics).split())

    assert status == 2
    assert "synapse_s3_migrate_exit_status 2\n" in metrics.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["migrate.prom"]


def test_wrong_usage_without_the_name_of_a_metrics_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert run("migrate", "--metrics-file")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_version_is_the_collection_s() -> None:
    galaxy = yaml.safe_load((Path(__file__).parents[5] / "galaxy.yml").read_text())

    assert run("--version") == (0, f"matrix-synapse-s3-storage-provider {galaxy['version']}\n", "")


class ClosedPipe(io.StringIO):
    """What nobody reads any more."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


NOT_PRINTED = "Could not print the result: {}. See that what stdout is connected to stays open and has space.\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["migrate", "--help"]])
def test_help_that_nobody_reads(arguments: list[str]) -> None:
    stderr = io.StringIO()

    assert main(arguments, ClosedPipe(), stderr) == 1
    assert stderr.getvalue() == NOT_PRINTED.format("Broken pipe")


def test_stderr_that_nobody_reads_ends_no_run(tmp_path: Path) -> None:
    """The metrics tell the end, and that not all was told."""
    metrics = tmp_path / "migrate.prom"
    configuration = write_configuration(tmp_path, media_store_path=str(tmp_path / "unmounted"))
    stdout = io.StringIO()

    status = main(
        ["--config", configuration, "migrate", "--json", "--metrics-file", str(metrics)], stdout, ClosedPipe()
    )

    result = json.loads(stdout.getvalue())
    assert (status, result["exit_code"]) == (69, 69)
    assert result["errors"][-1] == (
        "Could not tell all that happened: Broken pipe. See that what stderr is connected to stays open and has space."
    )
    assert "synapse_s3_migrate_exit_status 69\n" in metrics.read_text()


@pytest.mark.parametrize(
    ("error", "message", "exit_status"),
    [
        (
            OSError(116, "Stale file handle", "/media"),
            "Could not go on: Stale file handle (/media). Check the disk that it names, and this host's memory.",
            69,
        ),
        (
            ZeroDivisionError("x"),
            "Could not go on: ZeroDivisionError where none was expected. This is a fault of the program: report it with"
            " the lines above.",
            1,
        ),
    ],
)
def test_whatever_ends_a_run_is_told_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str, exit_status: int
) -> None:
    """A traceback, no JSON, and last night's metrics stayed."""
    metrics = tmp_path / "migrate.prom"
    metrics.write_text("synapse_s3_migrate_exit_status 0\n")

    def fail(*_arguments: object, **_options: object) -> object:
        raise error

    monkeypatch.setattr(run_module, "run_lock", fail)

    status, stdout, _unused = run(
        "--config", write_configuration(tmp_path), "migrate", "--json", "--metrics-file", str(metrics)
    )

    result = json.loads(stdout)
    assert (status, result["exit_code"], result["errors"]) == (exit_status, exit_status, [message])
    assert f"synapse_s3_migrate_exit_status {exit_status}\n" in metrics.read_text()
