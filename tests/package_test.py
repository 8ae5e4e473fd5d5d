#!/usr/bin/env python3
"""The Debian package and the container, in systems that are thrown away (in_root): installed, its unit checked and its ExecStart line
run, removed; the lines of deploy/Dockerfile run one by one, and those of deploy/compose.yaml, until the demonstration says a price.

The system is a copy of this one, where it is Debian 12, without a network; with KONTOR_CASES_PERCENT=100 it is a bare Debian from
debootstrap (KONTOR_DEBIAN: one that was made before), with the network, and everything is built in it from the sources."""
import json
import os
import re
import shlex
import shutil
import subprocess

import house as h

DEPLOY = os.path.join(h.ROOT, "deploy")
RUN_S = 1700  # a whole build on a slow machine is among it
NOT_HERE = 77
EXPOSURE_MAX = 25  # of systemd-analyze security, tenths: up to here it says OK


# ---- systems ----

def whole():
    return os.environ.get("KONTOR_CASES_PERCENT") == "100"


def system(folder):
    """(folder of a Debian 12, flags of in_root) and why not: one of both is None."""
    if os.geteuid() != 0:
        return None, "it takes root"
    if whole():
        if os.environ.get("KONTOR_DEBIAN"):
            return (os.environ["KONTOR_DEBIAN"], ["--net"]), None
        if not shutil.which("debootstrap"):
            return None, "there is no debootstrap"
        base = os.path.join(folder, "debian")
        made = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", base], capture_output=True, text=True, timeout=RUN_S)
        return ((base, ["--net"]), None) if made.returncode == 0 else (None, "debootstrap: " + made.stdout[-200:])
    with open("/etc/os-release", encoding="utf-8") as file:
        if "VERSION_CODENAME=bookworm" not in file.read():
            return None, "this system is not Debian 12"
    return ("/", []), None


def in_root(where, shared, script):
    """(status, output) of a shell script in a fresh copy of the system."""
    base, flags = where
    with open(os.path.join(shared, "script"), "w", encoding="utf-8") as file:
        file.write("set -eu\nexport DEBIAN_FRONTEND=noninteractive LC_ALL=C\n" + script)
    done = subprocess.run([os.path.join(h.ROOT, "tests", "in_root"), *flags, base, shared, "sh", "/shared/script"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=RUN_S)
    return done.returncode, done.stdout


WAIT = """
wait_for() { # SECONDS COMMAND ...: until it succeeds
    left=$1; shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1)); [ $left -gt 0 ] || { echo "in vain: $*"; cat /tmp/*.out; exit 1; }
        sleep 1
    done
}
"""


def steps(tap, where, shared, cases, before=""):
    """Steps of one script, one after the other: [(name, lines)]. Each prints that it is through."""
    script = WAIT + before + "".join(f"\n{lines}\necho 'through step {i}'\n" for i, (_, lines) in enumerate(cases))
    status, said = in_root(where, shared, script)
    for i, (name, _) in enumerate(cases):
        if status == NOT_HERE and "through step" not in said:
            tap.skip(name, "no overlay can be mounted here")
            continue
        with tap.case(name):
            assert f"through step {i}\n" in said, f"status {status}:\n" + said[-3000:]


# ---- the package ----

def unit():
    """{key: last value} of the unit."""
    with open(os.path.join(DEPLOY, "kontor.service"), encoding="utf-8") as file:
        return dict(re.findall(r"^(\w+)=(.*)$", file.read(), re.M))


PLACES = {"/usr/bin/kontor", "/lib/systemd/system/kontor.service", "/etc/kontor/kontor.yaml", "/usr/share/man/man1/kontor.1.gz",
          "/usr/share/bash-completion/completions/kontor", "/usr/share/zsh/vendor-completions/_kontor", "/usr/share/doc/kontor/copyright"}


def package(tap, shared):
    """Make it, and look at it; its file."""
    made = subprocess.run([os.path.join(DEPLOY, "deb"), h.build_folder(), shared], capture_output=True, text=True, timeout=RUN_S)
    with tap.case("the package holds the program, its unit, its settings, its words for shells, its manual and its licence"):
        assert made.returncode == 0, made.stderr
        out = subprocess.run(["dpkg-deb", "--contents", made.stdout.strip()], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in out.splitlines()]
        assert {row[5][1:] for row in rows if not row[5].endswith("/")} == PLACES
        assert all(row[1] == "root/root" and row[0] in ("drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x") for row in rows), out
    with tap.case("it says which program it is, and what it needs"):
        def field(name):
            return subprocess.run(["dpkg-deb", "--field", made.stdout.strip(), name], capture_output=True, text=True, check=True).stdout
        version = subprocess.run([h.kontor(), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        assert re.fullmatch(re.escape(version) + r"(\+\d{8}\.\d{6}\.g[0-9a-f]+)?\n", field("Version")), field("Version")
        assert {"libc6", "libsqlite3-0", "libssl3", "libedit2"} <= set(re.split(r",\s*", field("Depends").strip())), field("Depends")
    return made.stdout.strip()


def installed(tap, where, shared, deb):
    keys = unit()
    install = f"dpkg -i /shared/{os.path.basename(deb)} >/tmp/dpkg.out 2>&1 || {{ cat /tmp/dpkg.out; exit 1; }}"
    if whole():
        install = f"apt-get update -qq; apt-get install -y -qq --no-install-recommends systemd /shared/{os.path.basename(deb)} >/dev/null"
    run = f"cd {keys['WorkingDirectory']}; ulimit -n {keys['LimitNOFILE']}; umask {keys['UMask']}; exec {keys['ExecStart']}"
    cases = [
        ("installed, with a user and a folder of its own", f"""{install}
getent passwd kontor | grep -q ':/var/lib/kontor:/usr/sbin/nologin$'
[ "$(stat -c '%U %G %a' {keys['WorkingDirectory']})" = '{keys['User']} {keys['Group']} {keys['StateDirectoryMode'].lstrip('0')}' ]
kontor --version; man_page=$(dpkg -L kontor | grep kontor.1.gz); gunzip -t "$man_page" """),
        ("systemd finds nothing wrong with its unit", "systemd-analyze verify --man=no /lib/systemd/system/kontor.service"),
        ("its unit gives the program nothing that it does not need",
         f"systemd-analyze security --offline=true --threshold={EXPOSURE_MAX} /lib/systemd/system/kontor.service >/tmp/security.out"),
        ("its ExecStart line starts a house, as its user and in its folder", f"""
runuser -u {keys['User']} -- sh -c {shlex.quote(run)} >/tmp/house.out 2>&1 &
house=$!
wait_for 120 kontor call health
[ "$(stat -c %U /var/lib/kontor/market/state)" = {keys['User']} ]"""),
        ("it stops cleanly when it is told to", """
pid=$(kontor nodes --json | sed 's/.*"pid":\\([0-9]*\\).*/\\1/')
kill -TERM "$pid"
wait $house
kontor doctor --data /var/lib/kontor >/tmp/doctor.out || { cat /tmp/doctor.out; exit 1; }"""),
        ("installed again, it keeps the settings that somebody has changed", f"""
echo '# mine' >>/etc/kontor/kontor.yaml
dpkg -i /shared/{os.path.basename(deb)} >/dev/null 2>&1
grep -q '^# mine$' /etc/kontor/kontor.yaml"""),
        ("removed, its settings and what it has kept stay", """
dpkg -r kontor >/dev/null 2>&1
[ ! -e /usr/bin/kontor ] && [ ! -e /lib/systemd/system/kontor.service ]
[ -e /etc/kontor/kontor.yaml ] && [ -e /var/lib/kontor/market/state ]"""),
        ("purged, only what it has kept stays", """
dpkg -P kontor >/dev/null 2>&1
[ ! -e /etc/kontor ] && [ -e /var/lib/kontor/market/state ] && ! dpkg -s kontor >/dev/null 2>&1"""),
    ]
    steps(tap, where, shared, cases)


# ---- the container ----

def dockerfile():
    """[[(instruction, rest)]] of each stage."""
    with open(os.path.join(DEPLOY, "Dockerfile"), encoding="utf-8") as file:
        text = re.sub(r"\\\n", " ", file.read())
    stages = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, rest = line.split(None, 1)
            if word == "FROM":
                stages.append([])
            stages[-1].append((word, rest))
    return stages


def commands_of_compose():
    """{service: words} of deploy/compose.yaml, {service: health check where it has its own}, and that each has the machine's network."""
    with open(os.path.join(DEPLOY, "compose.yaml"), encoding="utf-8") as file:
        text = file.read()
    services = re.split(r"^  (\w+):.*$", text.split("services:\n", 1)[1], flags=re.M)[1:]
    found, checks = {}, {}
    for name, body in zip(services[::2], services[1::2]):
        assert "network_mode: host" in body, name
        found[name] = json.loads(re.search(r"command: (\[.*?\])", body, re.S)[1])
        for check in re.findall(r"healthcheck: \{test: (\[.*?\])\}", body):
            checks[name] = shlex.join(json.loads(check)[1:])
    return found, checks


def words_of(stage, word):
    return [rest for name, rest in stage if name == word]


def shell_of(stage, files):
    """The lines of a stage as a shell script; `files`: where COPY finds what it copies."""
    lines = []
    for word, rest in stage:
        assert word in ("FROM", "COPY", "RUN", "WORKDIR", "USER", "VOLUME", "HEALTHCHECK", "ENTRYPOINT", "CMD"), word
        if word == "COPY":
            source, target = [part for part in rest.split() if not part.startswith("--")]
            lines.append(f"mkdir -p $(dirname {target}); cp -r {files[source]} {target}")
        elif word == "WORKDIR":
            lines.append(f"mkdir -p {rest}; cd {rest}")
        elif word == "RUN":
            lines.append("{ " + rest + "; } >/tmp/run.out 2>&1 || { tail -n 30 /tmp/run.out; exit 1; }")
    return "\n".join(lines)


def contained(tap, where, shared, deb):
    build, image = dockerfile()
    words, checks = commands_of_compose()
    user, entry = words_of(image, "USER")[0], json.loads(words_of(image, "ENTRYPOINT")[0])
    command = json.loads(words_of(image, "CMD")[0])
    health = shlex.join(json.loads(words_of(image, "HEALTHCHECK")[0].removeprefix("CMD ")))
    shutil.copy(os.path.join(DEPLOY, "demo.yaml"), shared)

    def as_user(name, given):
        return f"cd {words_of(image, 'WORKDIR')[0]}; runuser -u {user} -- {shlex.join(entry + given)} >/tmp/{name}.out 2>&1 & {name}=$!"
    cases = []
    if whole():
        subprocess.run(f"git -C {shlex.quote(h.ROOT)} ls-files -z | tar -C {shlex.quote(h.ROOT)} --null -T - -cf - | "
                       f"(mkdir {shared}/context; tar -C {shared}/context -xf -)", shell=True, check=True)
        cases.append(("the lines of the first stage build the package", shell_of(build, {".": "/shared/context"})))
        second = shell_of(image, {"/kontor.deb": "/kontor.deb"})
    else:
        # What it needs is installed here; where there is no network, there are no lists to be brought.
        second = shell_of(image, {"/kontor.deb": "/shared/" + os.path.basename(deb)}).replace("apt-get update -qq && ", "")
    cases += [
        ("the lines of the image install it", second),
        ("its command starts a house, and its health check finds it", f"""{as_user('alone', command)}
wait_for 120 {health}
kill -TERM $alone; wait $alone || true
wait_for 60 sh -c '! {health}'"""),
        ("the commands of compose.yaml are the demonstration: a market, and a house that says its price", f"""cp /shared/demo.yaml /demo.yaml
rm -rf /var/lib/kontor/*
{as_user('market', words['market'])}
wait_for 120 {checks['market']}
{as_user('house', words['house'])}
wait_for 120 {health}
wait_for 120 kontor call vwap.latest ticker=BTC
wait_for 120 kontor call vwap.latest ticker=SOL"""),
    ]
    steps(tap, where, shared, cases)


def workflow(tap):
    with tap.case("the workflow runs what is there: .ci/run, the image, the demonstration"):
        with open(os.path.join(h.ROOT, ".github", "workflows", "ci.yml"), encoding="utf-8") as file:
            text = file.read()
        named = set(re.findall(r"(?:^|\s)((?:\.ci|deploy)/[\w./-]+)", text))
        assert {".ci/run", "deploy/Dockerfile", "deploy/compose.yaml"} <= named, named
        assert all(os.path.exists(os.path.join(h.ROOT, name)) for name in named), named


def main():
    tap = h.Tap()
    with h.Folder() as shared, h.Folder() as folder:
        deb = package(tap, shared)
        workflow(tap)
        where, reason = system(folder)
        if where is None:
            tap.skip("the package is installed, run and removed", reason)
            tap.skip("the container's lines are run", reason)
        else:
            installed(tap, where, shared, deb)
            contained(tap, where, shared, deb)
    tap.done()


main()
