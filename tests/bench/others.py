# SPDX-License-Identifier: EUPL-1.2
"""others.py: the same entries as files, carried by git and by rsync, in the same run.

Each is served by its own daemon on loopback, through the counting relay, unsigned and unencrypted.
`measure(top, entries, extra)` gives for each a dict: publish_s (git: add and commit), initial_s,
initial_bytes, durable_s (until the files are on disk, too), nothing_s, nothing_bytes, delta_s,
delta_bytes. The files stay in `top`: ext4 is slow to make files for half a minute after it has
removed many, so that is left to the end of the run.
"""
import os
import socket
import subprocess
import time

from labs import LIMIT_S, Failure, free_ports
from wire import Wire

ENV = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
       "LC_ALL": "C.UTF-8"}
GIT = ("git", "-c", "user.name=Banc", "-c", "user.email=banc@exemple.fr", "-c", "gc.auto=0",
       "-c", "init.defaultBranch=main")


def run(*command):
    """Runs it; how many seconds that took."""
    begin = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=3 * LIMIT_S, check=False, env=ENV)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: code {done.returncode}\n{done.stderr}")
    return time.monotonic() - begin


def write(folder, entries):
    """One file an entry, in at most 256 folders."""
    for name, content in entries:
        place = os.path.join(folder, name[-2:])
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, name), "wb") as file:
            file.write(content)


class Server:
    """A daemon on loopback, ended by its pid."""

    def __init__(self, port, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=ENV)
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    self.close()
                    raise Failure(f"{command[0]} does not listen") from None
                time.sleep(0.01)

    def close(self):
        self.process.terminate()
        self.process.wait(LIMIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def transfers(wire, target, first, again, change):
    """The three transfers: everything, nothing new, ten new entries."""
    found = {}
    wire.count()
    found["initial_s"] = run(*first)
    found["initial_bytes"] = total(wire)
    found["durable_s"] = found["initial_s"] + run("sync", "-f", target)
    found["nothing_s"] = run(*again)
    found["nothing_bytes"] = total(wire)
    change()
    found["delta_s"] = run(*again)
    found["delta_bytes"] = total(wire)
    return found


def total(wire):
    counts = wire.count()
    return counts["up"] + counts["down"]


def git(top, entries, extra):
    source, target = os.path.join(top, "git-source"), os.path.join(top, "git-target")
    port, front = free_ports(2)
    write(source, entries)
    run(*GIT, "init", "-q", source)

    def commit():
        return (run(*GIT, "-C", source, "add", "-A")
                + run(*GIT, "-C", source, "commit", "-q", "-m", "fiches"))

    def change():
        write(source, extra)
        commit()

    publish_s = commit()
    core = subprocess.run(("git", "--exec-path"), capture_output=True, text=True,
                          check=True).stdout.strip()
    with Server(port, os.path.join(core, "git-daemon"), "--reuseaddr", "--export-all",
                f"--base-path={top}", "--listen=127.0.0.1", f"--port={port}", top), \
            Wire(front, port) as wire:
        found = transfers(
            wire, target,
            (*GIT, "clone", "-q", f"git://127.0.0.1:{front}/git-source", target),
            (*GIT, "-C", target, "pull", "-q", "--ff-only"), change)
    found["publish_s"] = publish_s
    return found


def rsync(top, entries, extra):
    source, target = os.path.join(top, "rsync-source"), os.path.join(top, "rsync-target")
    port, front = free_ports(2)
    write(source, entries)
    conf = os.path.join(top, "rsyncd.conf")
    with open(conf, "w", encoding="utf-8") as file:
        file.write(f"use chroot = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
                   f"[source]\npath = {source}\nread only = yes\n")
    pull = ("rsync", "-a", f"rsync://127.0.0.1:{front}/source/", target)
    with Server(port, "rsync", "--daemon", "--no-detach", f"--config={conf}",
                "--address=127.0.0.1", f"--port={port}", f"--log-file={conf}.log"), \
            Wire(front, port) as wire:
        found = transfers(wire, target, pull, pull, lambda: write(source, extra))
    return found


def measure(top, entries, extra):
    """{name: figures}."""
    return {"git": git(top, entries, extra), "rsync": rsync(top, entries, extra)}
