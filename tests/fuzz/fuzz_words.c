/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/fuzz_words.c: a command line, word by word, as a script may have put it together.
 *
 * Lines of the input are the words. What opts_parse takes is within its bounds, and every operand
 * is one of the words; what it refuses says why. The same of LAB@HOST:PORT.
 */
#include "cli/opts.h"
#include "cli/target.h"
#include "conf/address.h"
#include "proto/did.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 80

static void flaw_check(const struct flaw *flaw)
{
    must(flaw->err == ERR_USAGE);
    must(flaw->text != NULL);
    must(memchr(flaw->detail, 0, sizeof flaw->detail) != NULL);
}

static bool is_word(const char *text, char **words, int count)
{
    for (int i = 0; i < count; i++) {
        if (words[i] == text) {
            return true;
        }
    }
    return false;
}

static void opts_taken_check(const struct opts *opts, char **words, int count)
{
    must(opts->operand_count < count);
    must(opts->verb == NULL || is_word(opts->verb, words, count));
    must(opts->lab_count <= OPTS_LABS_MAX && opts->from_count <= OPTS_FROM_MAX);
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        must((opts->values[i] != NULL) == ((opts->given >> i & 1u) != 0));
    }
    must(opts_has(opts, OPT_limit) || opts->limit == UINT64_MAX);
    must(opts->color <= COLOR_NEVER);
    struct flaw flaw;
    must(opts_check(opts, UINT32_MAX, &flaw) == ERR_OK);
    enum err err = opts_check(opts, 0, &flaw);
    must(err == ERR_OK || err == ERR_USAGE);
}

static void words_check(char *text)
{
    char *words[WORDS_MAX + 1] = {"essaim"};
    char *kept[WORDS_MAX + 1];
    int count = 1;
    for (char *at = text; at != NULL && count < WORDS_MAX;) {
        words[count++] = strsep(&at, "\n");
    }
    memcpy(kept, words, sizeof kept); /* opts_parse takes the first apart */
    struct opts opts;
    struct flaw flaw;
    enum err err = opts_parse(count, words, &opts, &flaw);
    if (err == ERR_OK) {
        opts_taken_check(&opts, kept, count);
        for (int i = 0; i < opts.operand_count; i++) {
            must(is_word(opts.operands[i], kept, count));
        }
    } else {
        must(err == ERR_USAGE);
        flaw_check(&flaw);
    }
}

static void target_check(const char *text)
{
    struct target target;
    struct flaw flaw;
    char did[DID_SIZE_MAX];
    enum err err = target_parse(text, &target, &flaw);
    must(err == ERR_OK || err == ERR_USAGE);
    if (err != ERR_OK) {
        flaw_check(&flaw);
        return;
    }
    did_encode(&target.id, did);
    must(bytes_equal(bytes_of_str(did), target.lab));
    must(strncmp(text, did, strlen(did)) == 0);
    struct address address;
    must((target.address.size == 0) == (text[strlen(did)] == '\0'));
    must(target.address.size == 0 || address_parse(target.address, &address) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    must(text != NULL);
    bytes_copy(text, bytes_of(data, size));
    text[size] = '\0';
    target_check(text);
    words_check(text);
    free(text);
    return 0;
}
