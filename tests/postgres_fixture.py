"""A PostgreSQL server of a test run's own: in a temporary folder, on a free port, gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "s3cret/p@ss word"  # noqa: S105 - of a server that lives as long as a test
USER = "reader"


def programs() -> Path | None:
    """The folder of the server's programs; None where it is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return places[-1].parent if places else None


def _as_another(command: list[str]) -> list[str]:
    """The server refuses root: then it runs as another user."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]


def certificates(folder: Path) -> None:
    """In a folder: root.crt, server.crt signed by it for localhost, server.key; and other.crt, of another authority."""
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for name in ("root", "other"):
        paths = ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run([*new, "-subj", f"/CN=made {name}", *paths], check=True, capture_output=True)
    signed = ["-CA", str(folder / "root.crt"), "-CAkey", str(folder / "root.key")]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    paths = ["-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")]
    subprocess.run([*new, *names, *signed, *paths], check=True, capture_output=True)
    (folder / "server.key").chmod(0o600)


@contextmanager
def server(tls: Path | None = None) -> Iterator[dict[str, str]]:
    """Start it in a folder of its own, which another user may reach; gives host, port, dbname, user and password.

    tls: a folder with `certificates`, where it is to speak TLS. Skips where it is not installed.
    """
    pytest.importorskip("psycopg", reason="psycopg is not here: pip install growth-forecast[postgres]")
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server is here: apt-get install postgresql")
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("the server refuses root, and setpriv is not here")
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as place:
        yield from _running(Path(place), where, tls)


def _running(folder: Path, where: Path, tls: Path | None) -> Iterator[dict[str, str]]:
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    if os.geteuid() == 0:
        folder.chmod(0o777)
        secret.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "America/New_York"}

    def run(*command: str) -> None:
        found = subprocess.run(
            _as_another([str(where / command[0]), *command[1:]]),
            env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr

    run(
        "initdb",
        "-D",
        str(data),
        "-U",
        USER,
        "--auth=scram-sha-256",
        f"--pwfile={secret}",
        "-E",
        "UTF8",
        "--no-sync",
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{folder}' -c fsync=off"
    if tls is not None:
        for name in ("server.crt", "server.key"):  # to where the server may read
            shutil.copy2(tls / name, folder)
            if os.geteuid() == 0:
                shutil.chown(folder / name, "nobody", "nogroup")
        options += f" -c ssl=on -c ssl_cert_file={folder}/server.crt -c ssl_key_file={folder}/server.key"
    run("pg_ctl", "-D", str(data), "-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield {
            "host": "127.0.0.1",
            "port": str(port),
            "dbname": "postgres",
            "user": USER,
            "password": PASSWORD,
        }
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
