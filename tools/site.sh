#!/bin/sh
# site.sh PYTHON [FOLDER]: the documentation as a site in FOLDER (default: build/site). Installs Sphinx where it is not there. A
# warning of the build (a link into nothing, a page that no contents lead to) fails it.
set -eu
python=$1
folder=${2:-build/site}

if ! "$python" -c 'import furo, myst_parser, sphinx' >/dev/null 2>&1; then
    echo "Installing Sphinx (a few seconds)"
    sh tools/add-packages.sh "$python" sphinx myst-parser furo
fi

rm -rf "$folder" build/doctrees
"$python" -m sphinx --builder html --conf-dir docs --doctree-dir build/doctrees \
    --quiet --nitpicky --fail-on-warning --keep-going . "$folder"
echo "Site: $folder/index.html"
