#!/usr/bin/python3
# SPDX-License-Identifier: EUPL-1.2
"""planted.py: each lint passes a small clean tree and refuses it once a violation is planted.

Reports in TAP. A lint that stops seeing what it is there for makes this test fail.
"""
import os
import shutil
import subprocess
import sys
import tempfile

LINTS = os.path.dirname(os.path.abspath(__file__))
LICENCE = "/* SPDX-License-Identifier: EUPL-1.2 */\n"
GUARD = "#ifndef ESSAIM_PROTO_X_H\n#define ESSAIM_PROTO_X_H\n"
CLEAN = {
    "base/x.h": LICENCE + "/* x */\n#ifndef ESSAIM_BASE_X_H\n#define ESSAIM_BASE_X_H\n#endif\n",
    "proto/x.h": LICENCE + "/* x */\n" + GUARD + '#include "base/x.h"\nint x(int a);\n#endif\n',
    "proto/x.c": LICENCE + '/* x */\n#include "proto/x.h"\n\n#include <string.h>\n\n'
                 "int x(int a)\n{\n    return a; /* strcpy( may be named here */\n}\n",
    "store/txn.c": LICENCE + "/* x */\n#include <lmdb.h>\n\nint txn_commit(MDB_txn *txn);\n"
                   "int txn_commit(MDB_txn *txn)\n{\n    return mdb_txn_commit(txn);\n}\n",
}


def body(*lines):
    """A C file of proto with one function of these lines."""
    return LICENCE + "/* x */\nint f(int a);\nint f(int a)\n{\n" + "".join(
        f"    {line}\n" for line in lines) + "    return a;\n}\n"


def including(name):
    return LICENCE + f"/* x */\n#include {name}\n"


# lint, file, its text, what the lint must say
TREES = [
    ("rooms.py", "base/y.c", including('"proto/x.h"'), "base may not include proto"),
    ("rooms.py", "proto/y.c", including('"store/x.h"'), "proto may not include store"),
    ("rooms.py", "store/y.c", including('"node/x.h"'), "store may not include node"),
    ("rooms.py", "node/y.c", including('"daemon/x.h"'), "node may not include daemon"),
    ("rooms.py", "cli/y.c", including('"store/x.h"'), "cli may not include store"),
    ("rooms.py", "conf/y.c", including('"proto/x.h"'), "conf may not include proto"),
    ("rooms.py", "conf/y.c", including('"daemon/x.h"'), "conf may not include daemon"),
    ("rooms.py", "web/y.c", including('"node/x.h"'), "web may not include node"),
    ("rooms.py", "proto/y.c", including('"x.h"'), "does not name a room"),
    ("rooms.py", "node/y.c", including("<lmdb.h>"), "node may not use <lmdb.h>"),
    ("rooms.py", "cli/y.c", including("<lmdb.h>"), "cli may not use <lmdb.h>"),
    ("rooms.py", "node/y.c", including("<uv.h>"), "node may not use <uv.h>"),
    ("rooms.py", "cli/y.c", including("<uv.h>"), "cli may not use <uv.h>"),
    ("rooms.py", "store/y.c", including("<sodium.h>"), "store may not use <sodium.h>"),
    ("rooms.py", "daemon/y.c", including("<jansson.h>"), "daemon may not use <jansson.h>"),
    ("rooms.py", "daemon/y.c", including("<libfyaml.h>"), "daemon may not use <libfyaml.h>"),
    ("rooms.py", "daemon/y.c", including("<ini.h>"), "daemon may not use <ini.h>"),
    ("rooms.py", "cli/y.c", including("<msgpack/pack.h>"), "cli may not use <msgpack/pack.h>"),
    ("rooms.py", "proto/y.c", including("<time.h>"), "proto may not use <time.h>"),
    ("rooms.py", "node/y.c", including("<sys/socket.h>"), "node may not use <sys/socket.h>"),
    ("rooms.py", "store/y.c", body("mdb_txn_abort(0);"), "mdb_txn_abort outside txn.c"),
    ("rooms.py", "store/txn.c", CLEAN["store/txn.c"] + "int g(MDB_txn *t)\n{\n"
     "    return mdb_txn_commit(t);\n}\n", "exactly one place"),
    ("tidy.py", "proto/y.c", body("int " + "b" * 92 + " = 1;"), "columns"),
    ("tidy.py", "proto/y.c", body(*["a++;"] * 69), "f has 72 lines"),
    ("tidy.py", "proto/y.c", body("a = f(a);"), "f calls itself"),
    ("tidy.py", "proto/y.c", body("again:", "goto again;"), "goto backwards"),
    ("tidy.py", "proto/y.c", body("assert(a);"), "banned: assert("),
    ("tidy.py", "proto/y.c", including("<assert.h>"), "<assert.h>"),
    ("tidy.py", "proto/y.c", body("strcpy(0, 0);"), "banned: strcpy("),
    ("tidy.py", "proto/y.c", body("strcat(0, 0);"), "banned: strcat("),
    ("tidy.py", "proto/y.c", body("sprintf(0, 0);"), "banned: sprintf("),
    ("tidy.py", "proto/y.c", body("atoi(0);"), "banned: atoi("),
    ("tidy.py", "store/y.c", body("a = MDB_NOSYNC;"), "banned: MDB_NOSYNC"),
    ("tidy.py", "tests/power/check.c", body("a = MDB_NOSYNC;"), "banned: MDB_NOSYNC"),
    ("tidy.py", "tests/power/life.c", body("a = MDB_WRITEMAP;"), "banned: MDB_WRITEMAP"),
    ("tidy.py", "store/y.c", body("a = MDB_WRITEMAP;"), "banned: MDB_WRITEMAP"),
    ("tidy.py", "store/y.c", body("a = MDB_NOMETASYNC;"), "banned: MDB_NOMETASYNC"),
    ("tidy.py", "proto/y.c", body("msgpack_unpacker_init(0);"), "banned: msgpack_unpacker_init"),
    ("tidy.py", "proto/y.c", body("/* TO" "DO */"), "a mark left behind"),
    ("tidy.py", "proto/y.c", "/* y */\nint y;\n", "no SPDX"),
    ("tidy.py", "tests/y.py", "print()\n", "no SPDX"),
    ("tidy.py", "proto/y.c", LICENCE + "int y;\n", "a comment on what it is for"),
    ("tidy.py", "proto/y.h", LICENCE + "/* y */\n" + GUARD + "#endif\n", "the include guard"),
    ("format.sh", "proto/y.c", "int  y ;\n", "clang-format"),
    ("headers.sh", "proto/y.h", "uint8_t y(void);\n", "does not compile alone with gcc"),
    ("headers.sh", "proto/y.h", "uint8_t y(void);\n", "does not compile alone with clang"),
]
CLEAN_UNIT = "#include <string.h>\n#include <stdio.h>\nint x(char *a, int b);\n" \
             'int x(char *a, int b) { return snprintf(a, 9, "%d", b); }\n'
# room, statement planted in its library, what purity must say; a violation per row
LIBRARIES = [
    ("proto", "uv_run(0, 0)", "proto has no loop"),
    ("proto", "mdb_get(0, 0, 0, 0)", "proto has no database"),
    ("node", "mdb_get(0, 0, 0, 0)", "node has no database"),
    ("node", "socket(1, 1, 0)", "node has no network"),
    ("node", 'open("x", 0)', "node has no disk"),
    ("node", "(int) time(0)", "node has no clock"),
    ("node", "clock_gettime(0, 0)", "node has no clock"),
    ("node", "rand()", "node has no dice"),
    ("proto", "randombytes_buf(a, 4)", "proto has no dice"),
    ("proto", "crypto_sign_keypair(a, a)", "proto has no dice"),
    ("proto", 'printf("%s", a)', "proto has no printing"),
    ("node", "fputs(a, stderr)", "node has no printing"),
    ("node", "(abort(), 0)", "node has no end"),
    ("store", "socket(1, 1, 0)", "store has no network"),
    ("store", "(int) time(0)", "store has no clock"),
    ("base", 'printf("%s", a)', "base has no printing"),
]
ALL = ["-Wno-implicit-function-declaration", "-w", "-O2"]
HARD = ["-fPIE", "-pie", "-fstack-protector-strong", "-fcf-protection=full", "-D_FORTIFY_SOURCE=3",
        "-Wl,-z,relro,-z,now,-z,noexecstack,-z,ibt,-z,shstk"]
# what is left out or added, what hardened must say
WEAK = [
    (["-fPIE", "-pie"], ["-no-pie"], "lacks PIE"),
    ([], ["-Wl,-z,lazy"], "lacks full RELRO"),
    ([], ["-Wl,-z,execstack"], "lacks a stack that is not executable"),
    (HARD[-1:], ["-Wl,-z,relro,-z,now", "-fcf-protection=none"],
     "lacks control-flow enforcement"),
    ([], ["-fno-stack-protector"], "lacks stack protector"),
    ([], ["-U_FORTIFY_SOURCE"], "lacks fortified calls"),
    ([], ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"], "without _FORTIFY_SOURCE=3"),
]
MAIN = "#include <stdio.h>\n#include <string.h>\nint main(int c, char **v)\n{\n" \
       '    char a[64];\n    strncpy(a, v[0], c);\n    memcpy(a, v[1], c);\n' \
       '    return puts(a);\n}\n'
HELP = "Commands\n  init (initialiser)   make a lab\n  list   entries\n\n" \
       "Options\n  --dir DIR   where\n"
MAN = "# COMMANDS\n\n*init* _DIR_\n\tMake.\n\n*list*\n\tShow.\n\n# OPTIONS\n\n*--dir* _DIR_\n"
SHELL = "words='init list --dir'\n"
# file, its text, what words must say
WORDS = [
    ("doc/man/essaim.1.scd", MAN.replace("*list*", "_list_"), "lacks the command list"),
    ("doc/man/essaim.1.scd", MAN.replace("*list*", "*liste*"), "there is no command liste"),
    ("doc/man/essaim.1.scd", MAN.replace("--dir", "_dir"), "lacks the option --dir"),
    ("doc/man/essaim.1.scd", MAN + "*--dri*\n", "there is no option --dri"),
    ("cli/completions/essaim.bash", SHELL.replace("list", ""), "essaim.bash:1: lacks list"),
    ("cli/completions/essaim.fish", SHELL.replace("--dir", ""), "essaim.fish:1: lacks dir"),
]
count = 0
failed = 0


def case(good, name, output):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")
    if not good:
        print("".join(f"# {line}\n" for line in output.splitlines()), end="")


def lint(name, *arguments):
    done = subprocess.run([os.path.join(LINTS, name), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def passes(name, *arguments):
    status, output = lint(name, *arguments)
    case(status == 0 and output == "", f"{name} passes what is clean", output)


def refuses(expected, name, *arguments):
    status, output = lint(name, *arguments)
    case(status != 0 and expected in output, f"{name} says: {expected}", output)


def write(folder, path, text):
    path = os.path.join(folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def run(*command):
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def library(folder, room, text, unit="y"):
    source = write(folder, f"{room}/{unit}.c", text)
    run("gcc", *ALL, "-c", source, "-o", source + ".o")
    run("ar", "rc", os.path.join(folder, room, f"lib{room}.a"), source + ".o")


def programs(folder, flags):
    unit = {"file": "x.c", "command": " ".join(["gcc", *flags])}
    if "-U_FORTIFY_SOURCE" in flags:
        unit["command"] = unit["command"].replace("-D_FORTIFY_SOURCE=3", "")
    write(folder, "compile_commands.json", str([unit]).replace("'", '"'))
    for program in ("cli/essaim", "daemon/essaimd"):
        source = write(folder, program + ".c", MAIN)
        run("gcc", *ALL, *flags, source, "-o", os.path.join(folder, program))


def in_fresh_folder(work, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        work(folder, *arguments)


def plant_tree(folder, name=None, path=None, text=None, expected=None):
    for clean, content in CLEAN.items():
        write(folder, clean, content)
    shutil.copy(os.path.join(LINTS, "../../.clang-format"), folder)
    if name:
        write(folder, path, text)
        refuses(expected, name, folder)
        return
    for each in ("rooms.py", "tidy.py", "headers.sh", "format.sh"):
        passes(each, folder)


def plant_library(folder, room="node", statement=None, expected=None):
    library(folder, room, CLEAN_UNIT)
    if statement:
        library(folder, room, "#include <stdio.h>\n#include <time.h>\n"
                f"int z(char *a, int b) {{ return {statement}; }}\n", "z")
        refuses(expected, "purity.py", folder, room)
    else:
        passes("purity.py", folder, room)


def plant_link(folder, flag=None, program=None):
    programs(folder, HARD)
    if flag is None:
        passes("links.py", folder)
        passes("hardened.py", folder)
        return
    source = os.path.join(folder, program + ".c")
    run("gcc", *ALL, source, "-Wl,--no-as-needed", flag, "-o", os.path.join(folder, program))
    refuses(f"{program}: links lib{flag[2:]}", "links.py", folder)


def plant_weak(folder, without, added, expected):
    programs(folder, [flag for flag in HARD if flag not in without] + added)
    refuses(expected, "hardened.py", folder)


def plant_words(folder, path=None, text=None, expected=None):
    program = write(folder, "cli/essaim", f"#!/bin/sh\ncat <<'END'\n{HELP}END\n")
    os.chmod(program, 0o755)
    write(folder, "doc/man/essaim.1.scd", MAN)
    write(folder, "cli/completions/essaim.bash", SHELL)
    if path:
        write(folder, path, text)
        refuses(expected, "words.py", folder, folder)
    else:
        passes("words.py", folder, folder)


in_fresh_folder(plant_tree)
for row in TREES:
    in_fresh_folder(plant_tree, *row)
in_fresh_folder(plant_library)
for row in LIBRARIES:
    in_fresh_folder(plant_library, *row)
in_fresh_folder(plant_words)
for row in WORDS:
    in_fresh_folder(plant_words, *row)
in_fresh_folder(plant_link)
for row in (("-luv", "cli/essaim"), ("-llmdb", "cli/essaim"), ("-lfyaml", "daemon/essaimd")):
    in_fresh_folder(plant_link, *row)
for row in WEAK:
    in_fresh_folder(plant_weak, *row)
print(f"1..{count}")
sys.exit(1 if failed else 0)
