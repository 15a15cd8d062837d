#!/bin/sh
# notebook.sh ENVIRONMENT [OPTION ...]: JupyterLab on notebooks/, heard by this machine alone; installed into the
# environment where it is not there yet. Options go to JupyterLab (--no-browser, --ServerApp.port=8890).
set -eu
environment=$1
shift
python=$environment/bin/python
here=$(cd "$(dirname "$0")" && pwd)

if ! "$python" -c 'import jupyterlab, jupytext, ipykernel' >/dev/null 2>&1; then
    echo "Installing JupyterLab into $environment"
    if command -v uv >/dev/null 2>&1; then
        UV_PYTHON_DOWNLOADS=never uv pip install --quiet --python "$python" -c constraints.txt -e '.[notebook,jupyter]'
    else
        "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebook,jupyter]'
    fi
fi

# tools/jupyter says that a click on a script opens it as a notebook; nothing is set in the user's home.
export JUPYTER_CONFIG_PATH="$here/jupyter${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}"
exec "$python" -m jupyterlab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir="$here/../notebooks" "$@"
