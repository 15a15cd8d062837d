#!/bin/sh
# outside.sh PYTHON: what `make test-outside` needs beside `make setup`. poppler-utils reads a PDF back; Chromium, driven
# by playwright, opens the what-if page; Sphinx builds the site. Where one cannot be installed, the tests that need it are skipped and say so.
set -eu
python=$1

have() { command -v "$1" >/dev/null 2>&1; }

apt_install() { # COMMAND PACKAGE
    have "$1" && return 0
    if have apt-get && [ "$(id -u)" = 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; } >/dev/null 2>&1 && return 0
    fi
    echo "$2 could not be installed; the tests that need it are skipped"
}

apt_install pdftotext poppler-utils
have chromium-browser || have google-chrome || apt_install chromium chromium

add() { # MODULE PACKAGE ...
    module=$1
    shift
    "$python" -c "import $module" >/dev/null 2>&1 || sh tools/add-packages.sh "$python" "$@" >/dev/null 2>&1 ||
        echo "$* could not be installed; the tests that need it are skipped"
}

# The package alone: playwright's own browsers are not downloaded.
add playwright playwright
add furo sphinx myst-parser furo
