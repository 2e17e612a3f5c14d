#!/bin/bash
# SPDX-License-Identifier: EUPL-1.2
# headers.sh TREE: each header compiles alone, with both compilers.
cd "$1" || exit 1
status=0
while read -r header; do
    for compiler in gcc clang-14; do
        "$compiler" -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Wconversion -Wshadow -Werror -I. \
            -fsyntax-only -include "$header" -x c /dev/null ||
            { echo "$header: does not compile alone with $compiler"; status=1; }
    done
done < <(find . -type d \( -name .git -o -name 'build*' \) -prune -o -name '*.h' -print | sort)
exit $status
