#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""demo.py BUILD [--once]: three labs on this machine (./dev run).

Ti Lab — Région Sud — a ministry's lab, linked in a row on loopback. Each publishes, all end with
the same catalogue; one stops, the others publish, it comes back and catches up; every lab verifies
what it holds. Then it stays up until Ctrl-C, or ends by itself with --once. Ends non-zero when a
check fails or something takes too long. Speaks French on stdout.
"""
import glob
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRIES = os.path.join(HERE, "..", "data", "demo")
LIMIT_S = 30  # for any one thing to happen
TOTAL_S = 240  # for the whole story


class Failure(Exception):
    """A check of the story that did not hold."""


def say(text=""):
    print(text, flush=True)


def free_ports(count):
    """Ports nobody listens on, all held at once so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Lab:
    """One lab: its directory, its daemon, its command line."""

    def __init__(self, build, top, key, name, port):
        self.build, self.key, self.name = build, key, name
        self.folder = os.path.join(top, key)
        self.address = f"127.0.0.1:{port}"
        self.process = None
        created = self.essaim(
            "init", self.folder, "--name", name, "--listen", self.address, place=())
        self.did = next(word for word in created.split() if word.startswith("did:key:"))

    def essaim(self, *arguments, place=None, stdin=None):
        """Runs `essaim --dir FOLDER …`; its stdout. What it says on stderr is shown if it fails."""
        place = ("--dir", self.folder) if place is None else place
        done = subprocess.run(
            [os.path.join(self.build, "cli", "essaim"), *place, *arguments],
            input=stdin, text=True, capture_output=True, timeout=LIMIT_S, check=False)
        if done.returncode != 0:
            raise Failure(f"{self.name} : essaim {' '.join(arguments)} : code {done.returncode}\n"
                          + done.stdout + done.stderr)
        return done.stdout

    def start(self):
        """Starts the daemon and waits until it says it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            path = self.folder + ".ready"
            ready.bind(path)
            ready.settimeout(LIMIT_S)
            with open(self.folder + ".log", "ab") as log:
                self.process = subprocess.Popen(
                    [os.path.join(self.build, "daemon", "essaimd"), "--dir", self.folder],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env={**os.environ, "NOTIFY_SOCKET": path})
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
            except TimeoutError as late:
                raise Failure(f"{self.name} : le démon n’est pas prêt") from late
            finally:
                os.unlink(path)

    def stop(self):
        """SIGTERM, to this process and no other; it must end cleanly."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            status = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired as late:
            process.kill()
            process.wait()
            raise Failure(f"{self.name} : le démon ne s’arrête pas") from late
        if status != 0:
            raise Failure(f"{self.name} : le démon a fini avec le code {status}")

    def publish(self, folder, labs):
        """Publishes the entries of a folder as one batch; how many."""
        texts = []
        for path in sorted(glob.glob(os.path.join(ENTRIES, folder))):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            for lab in labs:
                text = text.replace("{" + lab.key + "}", lab.did)
            texts.append(text)
        self.essaim("publish", "-", stdin="\n---\n".join(texts))
        return len(texts)

    def heads(self):
        """lab id -> (n, count, root) of every catalogue it holds."""
        status = json.loads(self.essaim("--json", "status"))
        return {each["lab"]: (each["n"], each["count"], each["root"])
                for each in status["catalogues"]}


class Watch:
    """Waits for changes at several labs: one `essaim watch` each."""

    def __init__(self, labs):
        self.selector = selectors.DefaultSelector()
        self.processes = []
        for lab in labs:
            process = subprocess.Popen(
                [os.path.join(lab.build, "cli", "essaim"), "--dir", lab.folder, "watch"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.processes.append(process)
            self.selector.register(process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.selector.close()
        for process in self.processes:
            process.terminate()
            process.wait(LIMIT_S)
            process.stdout.close()

    def wait(self):
        """Returns after a change, or after a second at most."""
        for key, _ in self.selector.select(1):
            if not os.read(key.fd, 65536):
                self.selector.unregister(key.fileobj)


def same_everywhere(labs, expected):
    """Waits until every lab holds the same catalogues with so many entries in all."""
    began = time.monotonic()
    with Watch(labs) as watch:
        while True:
            views = [lab.heads() for lab in labs]
            held = sum(count for _, count, _ in views[0].values())
            if all(view == views[0] for view in views) and held == expected:
                break
            if time.monotonic() - began > LIMIT_S:
                raise Failure(f"les catalogues ne se rejoignent pas : {views}")
            watch.wait()
    say(f"  Le même catalogue partout ({expected} fiches), "
        f"{time.monotonic() - began:.1f} s plus tard :")
    for lab in labs:
        n, count, root = views[0][lab.did]
        say(f"    {lab.name:<24} tête n° {n:<3} {count:>3} fiches   racine {root[:16]}…")


def link(dialler, listener):
    """Both sides agree: one dials, the other lets it in."""
    listener.essaim("peers", "add", dialler.did)
    dialler.essaim("peers", "add", f"{listener.did}@{listener.address}")


def story(labs):
    """The story, with its checks. The three daemons run at its end."""
    ti, sud, ministry = labs
    say("1. Trois laboratoires, trois clés, trois démons.")
    for lab in labs:
        lab.start()
        say(f"  {lab.name:<24} {lab.did}")
    say("\n2. Ils se lient en chaîne : Ti Lab — Région Sud — ministère.")
    say("  Le Ti Lab et le ministère ne se connaissent pas ; la Région Sud relaie.")
    link(ti, sud)
    link(ministry, sud)
    say("\n3. Chacun publie ses fiches, signées, chez lui.")
    total = 0
    for lab in labs:
        count = lab.publish(f"{lab.key}/*.yaml", labs)
        total += count
        say(f"  {lab.name:<24} {count} fiches")
    same_everywhere(labs, total)
    say("\n4. Le ministère s’absente (son démon s’arrête). La vie continue.")
    ministry.stop()
    total += ti.publish("pendant/ti-lab.yaml", labs)
    say("  Le Ti Lab répond au défi citoyen ;")
    total += sud.publish("pendant/region-sud.yaml", labs)
    say("  la Région Sud adopte le site « en blanc » du Ti Lab.")
    same_everywhere([ti, sud], total)
    say("\n5. Le ministère revient, et rattrape ce qu’il a manqué.")
    ministry.start()
    same_everywhere(labs, total)
    ministry.essaim("sync", "--wait", "1", "--timeout", str(LIMIT_S))
    say("\n6. Chacun vérifie tout ce qu’il tient : signatures, empreintes, racines, histoire.")
    for lab in labs:
        report = lab.essaim("verify").strip().splitlines()
        say(f"  {lab.name} :")
        for line in report:
            say("    " + line)


def stay(labs, top):
    """What to try, until Ctrl-C."""
    program = os.path.relpath(os.path.join(labs[0].build, "cli", "essaim"))
    say("\nLes trois laboratoires tournent. À essayer dans un autre terminal :\n")
    say(f"  export ESSAIM_DIR={labs[2].folder}      # être le ministère")
    for words in ("list", "show ti-lab/site-en-blanc", "list --kind adoption", "status",
                  "peers list", "watch", "verify", "help"):
        say(f"  {program} {words}")
    say(f"\nLes journaux : {top}/*.log")
    say("Ctrl-C pour arrêter et tout effacer.")
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # Ctrl-C, or a daemon that should not end
    raise Failure("un démon s’est arrêté")


def interrupted(*_):
    raise KeyboardInterrupt


def late(*_):
    raise Failure("l’ensemble a pris trop de temps")


def main(build, once):
    top = tempfile.mkdtemp(prefix="essaim-demo-")
    labs = []
    status = 0
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGALRM, late)
    signal.alarm(TOTAL_S)
    try:
        ports = free_ports(3)
        for (key, name), port in zip((("ti-lab", "Ti Lab"), ("region-sud", "Région Sud"),
                                      ("ministere", "Lab du ministère")), ports):
            labs.append(Lab(build, top, key, name, port))
        story(labs)
        signal.alarm(0)
        if not once:
            stay(labs, top)
    except KeyboardInterrupt:
        say("\nArrêt.")
    except (Failure, OSError, ValueError, KeyError, subprocess.SubprocessError) as failure:
        status = 1
        print(f"demo : {failure}", file=sys.stderr)
    signal.alarm(0)
    for lab in labs:
        try:
            lab.stop()
        except Failure as failure:
            status = 1
            print(f"demo : {failure}", file=sys.stderr)
        if status and os.path.exists(lab.folder + ".log"):
            with open(lab.folder + ".log", encoding="utf-8", errors="replace") as log:
                print(f"--- {lab.name}\n" + "".join(log.readlines()[-20:]), file=sys.stderr)
    shutil.rmtree(top, ignore_errors=True)
    if status == 0:
        say("\nTout s’est passé comme prévu.")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--once" in sys.argv[2:]))
