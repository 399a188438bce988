#!/usr/bin/env bash
# Installs the system packages that are missing: as root by apt-get, else it names the exact command.
# Usage: scripts/setup.sh build | test | bench | fuzz
set -euo pipefail

what=${1:-build}
missing=()
need() { # need COMMAND-OR-FILE PACKAGE
  case "$1" in
    /*) compgen -G "$1" >/dev/null || missing+=("$2") ;;
    *) command -v "$1" >/dev/null || missing+=("$2") ;;
  esac
}

if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
  export PATH="$HOME/.cargo/bin:$PATH"
fi
if ! command -v cargo >/dev/null; then
  echo "Rust is missing. Install Rust 1.90 or newer with rustup (https://rustup.rs), then run this again." >&2
  exit 1
fi

need g++ g++
need make make
need cmake cmake
need clang clang
need '/usr/lib/llvm-*/lib/libclang*.so*' libclang-dev
if [ "$what" = test ]; then
  need mariadb mariadb-client
  need python3 python3
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  need node nodejs
  need npm npm
  need java default-jdk-headless
  need mvn maven
  need go golang-go
  need openssl openssl
fi
if [ "$what" = bench ]; then
  need mariadbd mariadb-server
  need mariadb mariadb-client
  need sysbench sysbench
  need python3 python3
fi

if [ "$what" = fuzz ]; then
  need '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a' libclang-rt-dev
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing: ${missing[*]}"
    apt-get update -qq
    # A server package must not start a server of its own here.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "These packages are missing. Install them, then run this again:" >&2
    echo "  sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
fi
