#!/bin/bash
# SPDX-License-Identifier: EUPL-1.2
# tap.sh PROGRAM ARG… - runs a cmocka program and mends its TAP: a skipped test is "ok … # SKIP", and
# whatever it prints beside its results is a comment.
set -o pipefail
"$@" | sed -uE -e 's/^not ok ([0-9]+) # SKIP (.*)/ok \1 - \2 # SKIP/' \
    -e '/^(ok|not ok|1\.\.|#|Bail out)/!s/^/# /'
