#!/bin/sh
# What `make test-outside` needs beside pip: poppler-utils, which reads a PDF back. Where it cannot be installed, the
# tests that need it are skipped and say so.
set -eu
if ! command -v pdftotext >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends poppler-utils; } >/dev/null 2>&1 ||
        echo "poppler-utils could not be installed; the tests that read the PDF are skipped"
fi
