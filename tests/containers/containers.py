"""What the stand-ins for programs in this folder share: containers that live as long as a process.

The suite starts programs, reads their output, stops them and kills them. Here a program's process is a
small one that has a container do its work: it passes the container's output on, ends as the container ended,
and stops it when it is told to stop. When it is killed itself, a guard that it leaves behind does the same
to the container.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "envoy/docker-compose.yaml"
PROJECT_LABEL = "com.docker.compose.project"


def docker(*arguments, **options):
    """Runs a command of docker and gives what it says. No signal to this process reaches the command."""
    result = subprocess.run(["docker", *arguments], text=True, stdout=subprocess.PIPE, start_new_session=True, **options)
    return result.stdout.strip()


def project_of(folder):
    """The name of a test's own composed system."""
    return "keybound-test-" + "".join(c for c in folder.name.lower() if c.isalnum())


def compose(folder, services, environment, *command):
    """Runs a command of compose on a test's system, with changes to services laid over the shipped file."""
    changes = folder / f"compose-{'-'.join(services)}.json"
    changes.write_text(json.dumps({"services": services}))
    # The shell's variables win over envoy/.env, so that no test depends on who has made one.
    unused = dict.fromkeys(["GRAFANA_ADMIN_PASSWORD", "KEYBOUND_DATABASE_PASSWORD"], "not-started-here")
    environment = {**os.environ, **unused, **environment}
    program = ["docker", "compose"] if v2() else ["docker-compose"]
    files = ["-f", str(COMPOSE_FILE), "-f", str(changes)]
    arguments = [*program, "-p", project_of(folder), *files, *command]
    result = subprocess.run(arguments, env=environment, text=True, capture_output=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{result.stdout}{result.stderr}")


def v2():
    """Whether compose is a plugin of docker here."""
    return subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0


def container_of(folder, service):
    """The container of a service of a test's system."""
    labels = [f"label={PROJECT_LABEL}={project_of(folder)}", f"label=com.docker.compose.service={service}"]
    return docker("ps", "-aq", "--no-trunc", *[part for label in labels for part in ("--filter", label)])


def remove_project(project):
    """Removes a composed system with all that it kept."""
    label = f"label={PROJECT_LABEL}={project}"
    quiet = {"stderr": subprocess.DEVNULL}
    for find, remove in [
        (("ps", "-aq"), ("rm", "--force", "--volumes")),
        (("network", "ls", "-q"), ("network", "rm")),
        (("volume", "ls", "-q"), ("volume", "rm", "--force")),
    ]:
        found = docker(*find, "--filter", label, **quiet).split()
        if found:
            docker(*remove, *found, **quiet)


def guard(folder, name, clean_up):
    """Leaves a process behind that calls `clean_up` when this one ends, however it ends.

    The next of the same name waits here until that is done.
    """
    lock = open(folder / f"{name}.lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    read, write = os.pipe()
    if os.fork() != 0:
        os.close(read)
        return
    os.setsid()
    os.close(write)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.read(read, 1)
    clean_up()
    os._exit(0)


def stop_when_told():
    """From now on a signal to stop is meant for the container, which may not be there yet."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def follow(container):
    """Passes on what a running container says, and ends as it ends."""
    signal.signal(signal.SIGTERM, lambda *_: docker("kill", "--signal", "TERM", container))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    # In a session of its own: a signal to this process must not cut off the container's last words.
    logs = subprocess.Popen(["docker", "logs", "--follow", container], start_new_session=True)
    status = docker("wait", container)
    logs.wait()
    sys.exit(int(status))
