#!/bin/sh
# make-environment.sh FOLDER: makes or updates the environment with everything that the product and its tests need
# (WHAT='.[dev]': with these extras alone). Uses uv when it is on the PATH, plain pip otherwise. Safe to run again.
set -eu

folder=$1
here=$(dirname "$0")
what=${WHAT:-.[dev,notebook]}

# An environment whose Python has gone (upgraded, moved) or is too old is made anew.
if ! "$folder/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then
    python=$(sh "$here/find-python.sh")
    rm -rf "$folder"
    echo "Making $folder with $python"
    if command -v uv >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$folder"
    else
        "$python" -m venv "$folder"
    fi
fi

with_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    echo "Installing with uv (under a minute)"
    # The interpreter is named and downloads are off: uv must not go looking for another Python.
    UV_PYTHON_DOWNLOADS=never uv pip install --quiet --python "$folder/bin/python" --compile-bytecode \
        -c constraints.txt -e "$what" || { echo "uv could not install; trying pip" >&2; return 1; }
}

with_pip() {
    echo "Installing with pip (about a minute, 1 GB on disk)"
    "$folder/bin/python" -m pip --version >/dev/null 2>&1 || "$folder/bin/python" -m ensurepip >/dev/null
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e "$what"
}

with_uv || with_pip

# pip and uv compile what they install, but not a package installed in place.
"$folder/bin/python" -m compileall -q forecast
