#!/bin/sh
# find-python.sh [3.12]: prints the path of a Python that can make the environment (3.12, 3.13 or 3.14; with an
# argument only that one), or says what to install. PYTHON=/path/to/python in the environment is tried first and alone.
set -u

only=${1:-}
# 3.13 first: it is the version that .python-version names.
minors=${only#3.}
minors=${minors:-13 14 12}
suits="import sys; sys.exit(not (sys.version_info[0] == 3 and str(sys.version_info[1]) in '$minors'.split()))"
makes_environments='import venv, ensurepip'
passed_over=""

# try NAME: prints its real path and ends the script when it suits. A pyenv shim may name a version that is
# not there, so a candidate counts only once it has run.
try() {
    "$1" -c "$suits" >/dev/null 2>&1 || {
        version=$("$1" -c 'import platform; print(platform.python_version())' 2>/dev/null) &&
            passed_over="$passed_over
  $1 is Python $version"
        return 1
    }
    if ! "$1" -c "$makes_environments" >/dev/null 2>&1 && ! command -v uv >/dev/null 2>&1; then
        version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        passed_over="$passed_over
  $1 is Python $version but lacks the venv module (Debian, Ubuntu: apt install python$version-venv)"
        return 1
    fi
    "$1" -c 'import sys; print(sys.executable)'
    exit 0
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
else
    for name in $(printf 'python3.%s ' $minors) python3 python; do
        command -v "$name" >/dev/null 2>&1 && try "$name"
    done
    for minor in $minors; do
        for path in "${PYENV_ROOT:-${HOME:-/}/.pyenv}"/versions/3.$minor.*/bin/python \
            /opt/homebrew/bin/python3.$minor /usr/local/bin/python3.$minor \
            /Library/Frameworks/Python.framework/Versions/3.$minor/bin/python3; do
            [ -x "$path" ] && try "$path"
        done
    done
    if command -v uv >/dev/null 2>&1; then
        path=$(UV_PYTHON_DOWNLOADS=never uv python find --no-project "${only:->=3.12,<3.15}" 2>/dev/null) && try "$path"
    fi
fi

{
    echo "Python ${only:-3.12, 3.13 or 3.14} is needed and none was found."
    if [ -n "$passed_over" ]; then
        echo "Looked at:$passed_over"
    fi
    echo "Install one, then run the same command again:"
    echo "  Debian, Ubuntu   apt install python3 python3-venv   (Debian 13, Ubuntu 24.04 or newer)"
    echo "  Fedora           dnf install python3.13"
    echo "  macOS            brew install python@3.13"
    echo "  any system       https://www.python.org/downloads/, or: pyenv install 3.13, or: uv python install 3.13"
    echo "If it lies in an unusual place: make setup PYTHON=/path/to/python3.13"
} >&2
exit 1
