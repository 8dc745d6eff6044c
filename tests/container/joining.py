"""docker-compose.worker.yml: a worker on another machine with the volume mounted, by an SSH tunnel and over TLS.

The outside network is that of this namespace: an sshd in its own container, and a TLS endpoint in front of Redis.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from tests.container.support import ARTICLE, LONG, Composed, Service, Work, holds, run, wait_for

SSHD = "localhost/sshd"
SSH_PORT, TLS_PORT = 2222, 6380


def check(work: Work) -> None:
    hub = Composed("docker-compose.yml", "docker-compose.cpu.yml", "docker-compose.hub.yml")
    hub.up("redis", "api")
    service = Service(hub.key)
    service.ask("PUT", "/datasets/wine", work.data, "text/csv")
    gateway = run("podman", "network", "inspect", "fitstop_outside", "-f", "{{(index .Subnets 0).Gateway}}").stdout
    folder = work.folder / "joining"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    joined = Composed("docker-compose.worker.yml")
    joined.environment["SHARED_FOLDER"] = run(
        "podman", "volume", "inspect", "fitstop_fitstop-data", "-f", "{{.Mountpoint}}"
    ).stdout.strip()
    refused = joined("up", "-d", "--no-build", check=False)
    holds("without FITSTOP_REDIS_URL it refuses to start", "FITSTOP_REDIS_URL" in refused.stderr)
    check_ssh(hub, joined, service, folder, gateway.strip())
    check_tls(hub, joined, service, folder, gateway.strip())
    hub("down", "-v", "-t", "20")
    shutil.rmtree(folder)


def check_ssh(hub: Composed, joined: Composed, service: Service, folder: Path, gateway: str) -> None:
    make_ssh_folder(folder, gateway)
    start_sshd(folder)
    joined.environment |= {
        "FITSTOP_REDIS_URL": f"redis://:{hub.password}@tunnel:6379/0",
        "SSH_TARGET": f"ssh://fitstop@{gateway}:{SSH_PORT}",
        "SSH_FOLDER": str(folder),
    }
    joined("--profile", "ssh", "up", "-d", "--no-build", "--wait", "--wait-timeout", "240")
    wait_for("the worker has joined", service.is_ready)
    job = service.post(ARTICLE)
    holds("by SSH: the article's job ends on a worker that joined", service.ended(job)["status"] == "succeeded")
    job = service.post(LONG)
    wait_for("the run is under way", lambda: service.epoch(job) >= 20)
    run("podman", "rm", "-f", "-t", "0", "sshd")
    at, waiting = service.epoch(job), service.post(ARTICLE)
    done = service.ended(job)
    holds(f"the tunnel was lost at epoch {at}: the job ends in attempt {done['attempt']} all the same",
          (done["status"], done["attempt"]) == ("succeeded", 1))  # fmt: skip
    start_sshd(folder)
    joined("--profile", "ssh", "up", "-d", "--no-build", "tunnel")
    holds("a job that was posted meanwhile runs when it is back", service.ended(waiting)["status"] == "succeeded")
    joined("--profile", "ssh", "down", "-t", "60")
    run("podman", "rm", "-f", "-t", "0", "sshd")


def make_ssh_folder(folder: Path, gateway: str) -> None:
    for name in ("id_ed25519", "host_key"):
        run(
            "podman",
            "run",
            "--rm",
            "-v",
            f"{folder}:/ssh",
            SSHD,
            "ssh-keygen",
            "-qt",
            "ed25519",
            "-N",
            "",
            "-f",
            f"/ssh/{name}",
        )
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[{gateway}]:{SSH_PORT} {public}")
    allowed = 'restrict,port-forwarding,permitopen="127.0.0.1:6379"'
    (folder / "authorized_keys").write_text(f"{allowed} {(folder / 'id_ed25519.pub').read_text()}")
    for name in ("id_ed25519", "known_hosts"):
        os.chown(folder / name, 10001, 10001)


def start_sshd(folder: Path) -> None:
    """Start the sshd of the service's machine, through which only Redis can be reached."""
    run("podman", "run", "-d", "--name", "sshd", "--network", "host", "-v", f"{folder}:/ssh:ro", SSHD,
        "/usr/sbin/sshd", "-De", "-p", str(SSH_PORT), "-h", "/ssh/host_key", "-o",
        "AuthorizedKeysFile=/ssh/authorized_keys", "-o", "StrictModes=no", "-o", "UsePAM=no")  # fmt: skip
    wait_for("sshd listens", lambda: socket.create_connection(("127.0.0.1", SSH_PORT), 1).close() or True)


def check_tls(hub: Composed, joined: Composed, service: Service, folder: Path, gateway: str) -> None:
    make_certificates(folder, gateway)
    serve_tls(folder)
    joined.environment |= {
        "FITSTOP_REDIS_URL": f"rediss://:{hub.password}@{gateway}:{TLS_PORT}/0?ssl_cert_reqs=required&ssl_ca_certs=/tls/ca.crt",
        "TLS_FOLDER": str(folder),
    }
    joined("up", "-d", "--no-build", "--wait", "--wait-timeout", "240", "worker")
    wait_for("the worker has joined", service.is_ready)
    job = service.post(ARTICLE)
    holds("over TLS: the article's job ends on a worker that joined", service.ended(job)["status"] == "succeeded")
    redis = doctors_word("Redis")
    holds(f"the doctor there: {redis}", redis["status"] == "ok")
    shutil.copy(folder / "other.crt", folder / "ca.crt")
    redis = doctors_word("Redis")
    holds(f"another authority is refused: {redis}", "CERTIFICATE_VERIFY_FAILED" in redis["detail"])
    joined("down", "-t", "60")


def doctors_word(name: str) -> dict[str, str]:
    said = run("podman", "exec", "fitstop-worker-worker-1", "fitstop", "doctor", "-o", "json", check=False)
    return next(one for one in json.loads(said.stdout)["data"] if one["name"] == name)


def make_certificates(folder: Path, gateway: str) -> None:
    """Make certificates as docs/deploy/more-machines.md describes."""
    for name in ("ca", "other"):
        openssl(folder, "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "825", "-subj", f"/CN=fitstop {name}",
                "-keyout", f"{name}.key", "-out", f"{name}.crt", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    openssl(
        folder,
        "req",
        "-newkey",
        "rsa:4096",
        "-nodes",
        "-subj",
        "/CN=redis",
        "-keyout",
        "redis.key",
        "-out",
        "redis.csr",
    )
    (folder / "redis.ext").write_text(f"subjectAltName=IP:{gateway}\nauthorityKeyIdentifier=keyid\n")
    openssl(folder, "x509", "-req", "-in", "redis.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "825", "-extfile", "redis.ext", "-out", "redis.crt")  # fmt: skip


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def serve_tls(folder: Path) -> None:
    """Forward TLS connections to the hub's Redis, as stunnel does, until this process ends."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "redis.crt", folder / "redis.key")
    listener = socket.create_server(("0.0.0.0", TLS_PORT))
    threading.Thread(target=accept_all, args=(context, listener), daemon=True).start()


def accept_all(context: ssl.SSLContext, listener: socket.socket) -> None:
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=join_ends, args=(context, plain), daemon=True).start()


def join_ends(context: ssl.SSLContext, plain: socket.socket) -> None:
    try:
        outside = context.wrap_socket(plain, server_side=True)
    except OSError:  # the client refuses it, as it should if the authority is another
        return
    inside = socket.create_connection(("127.0.0.1", 6379))
    threading.Thread(target=pass_on, args=(inside, outside), daemon=True).start()
    pass_on(outside, inside)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    source.close()
    target.close()
