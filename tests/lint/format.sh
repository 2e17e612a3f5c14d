#!/bin/bash
# SPDX-License-Identifier: EUPL-1.2
# format.sh TREE: every C file is as clang-format 14 would write it.
cd "$1" || exit 1
find . -type d \( -name .git -o -name 'build*' \) -prune -o -name '*.[ch]' -print0 |
    xargs -0 -r clang-format-14 --dry-run -Werror
