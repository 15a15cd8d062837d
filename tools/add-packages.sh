#!/bin/sh
# add-packages.sh PYTHON PACKAGE ...: packages into an environment, in the versions of constraints.txt; by uv where it is on the
# PATH, else by pip.
set -eu
python=$1
shift

with_uv() {
    command -v uv >/dev/null 2>&1 &&
        UV_PYTHON_DOWNLOADS=never uv pip install --quiet --python "$python" -c constraints.txt "$@" >/dev/null 2>&1
}

with_uv "$@" || "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@"
