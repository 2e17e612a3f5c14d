/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * base/err.h: the one table of errors.
 *
 * Every function that can fail returns enum err; ERR_OK is 0. Foreign codes (LMDB, libuv, errno)
 * are turned into these in one function per room. Each row: name, stable public code (E-…, never
 * translated, documented in doc/protocol.md and essaim(1)), process exit code (design §10) and an
 * English sentence (a gettext msgid in cli/).
 */
#ifndef ESSAIM_BASE_ERR_H
#define ESSAIM_BASE_ERR_H

/* clang-format off */
#define ERR_TABLE(X) \
    X(OK,          "OK",            0, "done") \
    X(INTERNAL,    "E-INTERNAL",    1, "internal error") \
    X(NOMEM,       "E-NOMEM",       1, "out of memory") \
    X(IO,          "E-IO",          1, "input/output error on disk") \
    X(CORRUPT,     "E-CORRUPT",     1, "stored data do not match their hash or signature") \
    X(FULL,        "E-FULL",        4, "no room: disk, map or queue is full") \
    X(USAGE,       "E-USAGE",       2, "wrong usage") \
    X(NOT_FOUND,   "E-NOT-FOUND",   3, "not found") \
    X(AMBIGUOUS,   "E-AMBIGUOUS",   3, "the name stands for several labs") \
    X(REFUSED,     "E-REFUSED",     4, "refused") \
    X(ROLE,        "E-ROLE",        4, "your role does not allow this") \
    X(KEY,         "E-KEY",         4, "a key file is missing or not safe") \
    X(FROZEN,      "E-FROZEN",      4, "the catalogue is frozen") \
    X(QUOTA,       "E-QUOTA",       4, "a quota would be exceeded") \
    X(KIND,        "E-KIND",        4, "the slug was already used for another kind") \
    X(INVALID,     "E-INVALID",     5, "invalid entry") \
    X(SLUG,        "E-SLUG",        5, "invalid slug") \
    X(FIELD,       "E-FIELD",       5, "invalid field") \
    X(SIZE,        "E-SIZE",        5, "too large") \
    X(SYNTAX,      "E-SYNTAX",      5, "syntax error in the input") \
    X(CONFLICT,    "E-CONFLICT",    6, "the entry has another revision") \
    X(LOCKED,      "E-LOCKED",      6, "another daemon uses this directory") \
    X(EXISTS,      "E-EXISTS",      6, "already there") \
    X(NO_DAEMON,   "E-NO-DAEMON",   7, "no daemon answers") \
    X(NET,         "E-NET",         8, "network error") \
    X(TIMEOUT,     "E-TIMEOUT",     8, "timed out") \
    X(PARTIAL,     "E-PARTIAL",     9, "partly done") \
    X(MORE,        "E-MORE",        1, "more bytes are needed") \
    X(MALFORMED,   "E-MALFORMED",   8, "malformed bytes") \
    X(CANONICAL,   "E-CANONICAL",   5, "bytes are not canonical msgpack") \
    X(SIGNATURE,   "E-SIGNATURE",   4, "the signature does not verify") \
    X(DECRYPT,     "E-DECRYPT",     8, "decryption failed") \
    X(UNLINKED,    "E-UNLINKED",    8, "the opening does not reach the held head") \
    X(ROOT,        "E-ROOT",        8, "the entries do not match the signed root") \
    X(STALE,       "E-STALE",       6, "older than what is held") \
    X(FORK,        "E-FORK",        4, "two histories under one key") \
    X(CONFIG,      "E-CONFIG",      2, "error in the configuration") \
    X(SCHEMA,      "E-SCHEMA",      1, "the store was written by another version") \
    X(BUSY,        "E-BUSY",        6, "busy: try again") \
    X(UNSUPPORTED, "E-UNSUPPORTED", 2, "not supported")
/* clang-format on */

#define ERR_ENUM_ROW(name, code, exit_code, text) ERR_##name,
enum err { ERR_TABLE(ERR_ENUM_ROW) ERR_COUNT };
#undef ERR_ENUM_ROW

/* The stable public code, for instance "E-SLUG". Never NULL; unknown values give "E-INTERNAL". */
const char *err_code(enum err err);

/* The English sentence, for instance "invalid slug". Never NULL. A gettext msgid. */
const char *err_text(enum err err);

/* The process exit code of design §10, 0 to 9. */
int err_exit(enum err err);

/* The error whose public code is `code`, ERR_INTERNAL if there is none. */
enum err err_from_code(const char *code);

/* Put it before a prototype: the result must be looked at, or ignored with a cast to void. */
#define MUST_USE __attribute__((warn_unused_result))

#endif
