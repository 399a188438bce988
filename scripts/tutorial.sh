#!/usr/bin/env bash
# Runs the commands of a tutorial page as a reader would, in a scratch folder, and compares what they print.
#
# In the page, a block fenced with ```console holds lines that begin with "$ " (a command, run in one shell session) and
# the output that must follow. "…" at the end of a line matches anything; a line that is only "…" matches any lines.
set -euo pipefail
page=$(realpath "$1")
[ -x "$PRECINCT_BIN" ] || { echo "no precinct at $PRECINCT_BIN" >&2; exit 1; }
export PATH="$(dirname "$PRECINCT_BIN"):$PATH"
work=$(mktemp -d)
cd "$work"
trap 'precinct demo stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
timeout 300 python3 - "$page" <<'PY'
import glob, os, re, subprocess, sys

text = open(sys.argv[1], encoding="utf-8").read()
shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
marker = "--end-of-command--"
count = 0
for block in re.findall(r"```console\n(.*?)```", text, re.S):
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
