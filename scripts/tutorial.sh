#!/usr/bin/env bash
# Runs the commands of a tutorial page as a reader would, in a scratch folder, and compares what they print.
#
# In the page, a block fenced with ```console holds lines that begin with "$ " (a command, run in one shell session) and
# the output that must follow. "…" at the end of a line matches anything; a line that is only "…" matches any lines.
# A block fenced with ```sessions holds statements of several sessions, "name> SQL;", each a `precinct sql` of its own,
# and what they print. "(name waits)" says that the statement above does not end yet, "(name goes on)" that it ends now.
set -euo pipefail
page=$(realpath "$1")
[ -x "$PRECINCT_BIN" ] || { echo "no precinct at $PRECINCT_BIN" >&2; exit 1; }
export PATH="$(dirname "$PRECINCT_BIN"):$PATH"
work=$(mktemp -d)
cd "$work"
trap 'precinct demo stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
timeout 300 python3 - "$page" <<'PY' || { tail -n 20 ./*.log >&2; exit 1; }
import glob, os, queue, re, subprocess, sys, threading, time

text = open(sys.argv[1], encoding="utf-8").read()
shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
marker = "--end-of-command--"
count = 0


class Session:
    """A `precinct sql` that is asked line by line."""

    def __init__(self):
        self.client = subprocess.Popen(["precinct", "sql", "--force"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.asked = 0

    def read(self):
        for line in self.client.stdout:
            self.lines.put(line.rstrip("\n"))

    def ask(self, statement):
        self.asked += 1
        self.client.stdin.write(f"{statement}\nSELECT 'end of {self.asked}' AS marker;\n")
        self.client.stdin.flush()
        self.got = []

    def ended(self, seconds):
        """Whether the last statement ends in time; its output is in `got`."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                break
            if line == f"end of {self.asked}":
                self.got.remove("marker")
                return True
            self.got.append(line)
        return False


def run_sessions(block):
    sessions, count = {}, 0
    steps = re.split(r"(?m)^(?=\w+> |\(\w+ goes on\))", block)
    for step in filter(None, steps):
        lines = step.rstrip("\n").split("\n")
        head = lines.pop(0)
        waits = [line for line in lines if re.fullmatch(r"\(\w+ waits\)", line)]
        wanted = [line for line in lines if line not in waits]
        if going_on := re.fullmatch(r"\((\w+) goes on\)", head):
            session = sessions[going_on[1]]
        else:
            name, statement = head.split("> ", 1)
            session = sessions.setdefault(name, Session())
            session.ask(statement)
        if waits:
            if session.ended(1):
                sys.exit(f"{head}\nshould wait, but ended with:\n" + "\n".join(session.got))
        elif not session.ended(30):
            sys.exit(f"{head}\ndid not end")
        elif session.got != wanted:
            sys.exit(f"{head}\nwanted:\n" + "\n".join(wanted) + "\ngot:\n" + "\n".join(session.got))
        count += 1
        print(f"tutorial: ok  {head}" + (" (waits)" if waits else ""), flush=True)
    for session in sessions.values():
        session.client.stdin.close()
        session.client.wait(10)
    return count


def run_commands(block):
    count = 0
    steps = re.split(r"(?m)^\$ ", block)[1:]
    for step in steps:
        lines = step.rstrip("\n").split("\n")
        command = lines.pop(0)
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0)
        shell.stdin.write(command + f"\necho {marker} $?\n")
        shell.stdin.flush()
        got = []
        for line in shell.stdout:
            if line.startswith(marker):
                status = int(line.split()[1])
                break
            got.append(line.rstrip("\n"))
        else:
            sys.exit(f"the shell ended during: {command}")
        pattern = ""
        for line in lines:
            if line == "…":
                pattern += r"(?:.*\n)*?"
            else:
                pattern += ".*".join(re.escape(part) for part in line.split("…")) + r"\n"
        output = "".join(line + "\n" for line in got)
        if not re.fullmatch(pattern, output):
            sys.exit(f"$ {command}\nwanted:\n" + "\n".join(lines) + f"\ngot (status {status}):\n{output}")
        count += 1
        print(f"tutorial: ok  $ {command}", flush=True)
    return count


for kind, block in re.findall(r"```(console|sessions)\n(.*?)```", text, re.S):
    count += run_commands(block) if kind == "console" else run_sessions(block)
# The page ends with `demo stop`, which answers when no node runs any more.
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        command = open(path, "rb").read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        continue
    if f"--data {os.getcwd()}/" in command:
        sys.exit(f"still runs after the last command: {command}")
print(f"tutorial: {count} commands did what the page says")
PY
