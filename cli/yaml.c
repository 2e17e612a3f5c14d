/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/yaml.c: libfyaml's events, one after the other, into the builder.
 *
 *     stream start, document start, [sequence start], (mapping start … mapping end)*, …
 *
 * Fails on whatever libfyaml calls an error, on what we do not accept (see yaml.h), and on what the
 * builder refuses.
 */
#include "cli/yaml.h"

#include <libfyaml.h>
#include <stdio.h>

#include "base/must.h"
#include "base/utf8.h"
#include "cli/text.h"

/* The longest beginning of whole characters that are all allowed. */
static size_t good_size(struct bytes text)
{
    size_t good = 0;
    size_t size = 1;
    while (size <= 4 && good + size <= text.size) { /* a character has 1 to 4 bytes */
        bool valid = utf8_valid(bytes_of(text.data + good, size));
        good += valid ? size : 0;
        size = valid ? 1 : size + 1;
    }
    return good;
}

/* Before libfyaml sees it: only what YAML may hold. The line and column are found by counting. */
static enum err bytes_check(struct bytes text, struct build *build)
{
    if (utf8_valid(text)) {
        return ERR_OK;
    }
    uint64_t line = 0;
    size_t line_start = 0;
    size_t at = 0;
    while (at < text.size) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t size = end == NULL ? text.size - at : (size_t) (end - text.data) - at + 1;
        if (!utf8_valid(bytes_of(text.data + at, size))) {
            break;
        }
        at += size;
        line_start = at;
        line++;
    }
    size_t good = good_size(bytes_of(text.data + line_start, text.size - line_start));
    return build_refuse(build, ERR_SYNTAX,
                        YAML_AT(line, utf8_count(bytes_of(text.data + line_start, good))),
                        N_("this is not text: a control character or not UTF-8"),
                        N_("save the file as UTF-8 and remove control characters"));
}

enum err yaml_open(struct yaml *ret_yaml, struct bytes document, struct build *build)
{
    build_start(build);
    enum err err = bytes_check(document, build);
    if (err != ERR_OK) {
        return err;
    }
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = NULL;
    diag_cfg.level = FYET_ERROR;
    struct yaml yaml = {.diag = fy_diag_create(&diag_cfg)};
    if (yaml.diag == NULL) {
        return ERR_NOMEM;
    }
    fy_diag_set_collect_errors(yaml.diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
                 FYPCF_ALLOW_DUPLICATE_KEYS, /* the builder refuses them, with a place */
        .diag = yaml.diag,
    };
    yaml.parser = fy_parser_create(&cfg);
    if (yaml.parser == NULL ||
        fy_parser_set_string(yaml.parser, (const char *) document.data, document.size) != 0) {
        yaml_close(&yaml);
        return ERR_NOMEM;
    }
    *ret_yaml = yaml;
    return ERR_OK;
}

void yaml_close(struct yaml *yaml)
{
    if (yaml == NULL) {
        return;
    }
    if (yaml->parser != NULL) {
        fy_parser_destroy(yaml->parser);
    }
    fy_diag_destroy(yaml->diag);
    *yaml = (struct yaml){0};
}

static enum err syntax_refuse(struct yaml *yaml, struct build *build)
{
    void *iter = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(yaml->diag, &iter);
    uint64_t at = yaml->at;
    yaml->broken = true;
    if (error != NULL && error->line >= 0 && error->column >= 0) {
        at = YAML_AT(error->line > 0 ? error->line - 1 : 0,
                     error->column > 0 ? error->column - 1 : 0);
    }
    (void) build_refuse(build, ERR_SYNTAX, at, N_("the YAML syntax is wrong here"),
                        N_("check indentation, colons and quotes"));
    if (error != NULL && error->msg != NULL) {
        flaw_detail(&build->flaw, "%s", error->msg);
    }
    return ERR_SYNTAX;
}

/* A plain scalar that reads as a number in the core schema, or nearly. */
enum number { NUMBER_NONE, NUMBER_INT, NUMBER_CODE, NUMBER_REAL, NUMBER_OVER };

static bool digits_only(struct bytes text, const char *digits)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == 0 || strchr(digits, text.data[i]) == NULL) {
            return false;
        }
    }
    return text.size > 0;
}

static bool number_of_base(struct bytes digits, unsigned base, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits.size; i++) {
        uint8_t byte = digits.data[i];
        unsigned digit = byte <= '9' ? byte - (unsigned) '0' : (byte | 0x20u) - 'a' + 10u;
        if (value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *ret_value = value;
    return true;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?, .inf, .nan */
static bool real_looks(struct bytes text)
{
    size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    struct bytes rest = bytes_of(text.data + at, text.size - at);
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (bytes_equal(rest, bytes_of_str(words[i]))) {
            return true;
        }
    }
    size_t digits = 0;
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
        digits++;
    }
    if (at < text.size && text.data[at] == '.') {
        at++;
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
            at++;
            digits++;
        }
    }
    if (digits > 0 && at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        at += at < text.size && (text.data[at] == '-' || text.data[at] == '+') ? 1 : 0;
        return digits_only(bytes_of(text.data + at, text.size - at), "0123456789");
    }
    return digits > 0 && at == text.size;
}

static enum number number_read(struct bytes text, uint64_t *ret_value, bool *ret_negative)
{
    bool sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    struct bytes digits = bytes_of(text.data + (sign ? 1 : 0), text.size - (sign ? 1 : 0));
    *ret_negative = sign && text.data[0] == '-';
    if (digits_only(digits, "0123456789")) {
        if ((digits.data[0] == '0' && digits.size > 1) || (sign && !*ret_negative)) {
            return NUMBER_CODE;
        }
        return number_of_base(digits, 10, ret_value) ? NUMBER_INT : NUMBER_OVER;
    }
    if (!sign && text.size > 2 && text.data[0] == '0') {
        struct bytes rest = bytes_of(text.data + 2, text.size - 2);
        if (text.data[1] == 'x' && digits_only(rest, "0123456789abcdefABCDEF")) {
            return number_of_base(rest, 16, ret_value) ? NUMBER_INT : NUMBER_OVER;
        }
        if (text.data[1] == 'o' && digits_only(rest, "01234567")) {
            return number_of_base(rest, 8, ret_value) ? NUMBER_INT : NUMBER_OVER;
        }
    }
    return real_looks(text) ? NUMBER_REAL : NUMBER_NONE;
}

static bool word_is(struct bytes text, const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (bytes_equal(text, bytes_of_str(words[i]))) {
            return true;
        }
    }
    return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"true", "True", "TRUE", NULL};
static const char *const false_words[] = {"false", "False", "FALSE", NULL};

/* A plain scalar by the core schema of YAML 1.2. */
static enum err plain_build(struct build *build, struct bytes text, uint64_t at)
{
    if (word_is(text, null_words)) {
        return build_null(build, at);
    }
    if (word_is(text, true_words) || word_is(text, false_words)) {
        return build_bool(build, word_is(text, true_words), at);
    }
    uint64_t value = 0;
    bool negative = false;
    switch (number_read(text, &value, &negative)) {
    case NUMBER_INT:
        if (!negative) {
            return build_uint(build, value, at);
        }
        if (value <= (uint64_t) INT64_MAX + 1) {
            return build_int(build, value == 0 ? 0 : -(int64_t) (value - 1) - 1, at);
        }
        break;
    case NUMBER_OVER:
        break;
    case NUMBER_CODE:
        return build_refuse(build, ERR_FIELD, at,
                            N_("a leading zero or plus sign would be lost: is this a code?"),
                            N_("write it in quotes"));
    case NUMBER_REAL:
        return build_refuse(build, ERR_FIELD, at, N_("only whole numbers are allowed"),
                            N_("write it in quotes"));
    default:
        return build_str(build, text, at);
    }
    return build_refuse(build, ERR_FIELD, at, N_("this number is too large"),
                        N_("write it in quotes"));
}

/* No anchor, no tag on this event. */
static enum err bare_check(struct fy_event *event, struct build *build, uint64_t at)
{
    if (event->type == FYET_ALIAS || fy_event_get_anchor_token(event) != NULL) {
        return build_refuse(build, ERR_SYNTAX, at,
                            N_("anchors (&) and aliases (*) are not accepted"),
                            N_("write the value out, or put the text in quotes"));
    }
    if (fy_event_get_tag_token(event) != NULL) {
        return build_refuse(build, ERR_SYNTAX, at, N_("tags (!) are not accepted"),
                            N_("remove the tag, or put the text in quotes"));
    }
    return ERR_OK;
}

/* What of a map comes next, a bit a level: set when it is a key. */
struct keys {
    uint32_t due;
};

static bool key_due(const struct keys *keys, const struct build *build)
{
    return build_in_map(build) && (keys->due >> build->depth & 1) != 0;
}

static void key_next(struct keys *keys, const struct build *build, bool due)
{
    uint32_t bit = 1u << build->depth;
    keys->due = due ? keys->due | bit : keys->due & ~bit;
}

static enum err scalar_take(struct fy_event *event, struct build *build, struct keys *keys,
                            uint64_t at)
{
    struct fy_token *token = fy_event_get_token(event);
    size_t size = 0;
    const char *data = token == NULL ? "" : fy_token_get_text(token, &size);
    if (data == NULL) {
        return ERR_NOMEM;
    }
    struct bytes text = bytes_of(data, size);
    bool plain = token == NULL || fy_token_scalar_style(token) == FYSS_PLAIN;
    if (!key_due(keys, build)) {
        enum err err = plain ? plain_build(build, text, at) : build_str(build, text, at);
        key_next(keys, build, true);
        return err;
    }
    if (plain && bytes_equal(text, bytes_of_str("<<"))) {
        return build_refuse(build, ERR_SYNTAX, at, N_("merge keys (<<) are not accepted"),
                            N_("write the fields out"));
    }
    key_next(keys, build, false);
    return build_key(build, text, at);
}

/* One event inside a record, the record's own mapping included. */
static enum err event_take(struct fy_event *event, struct build *build, struct keys *keys,
                           uint64_t at)
{
    enum err err = ERR_OK;
    switch (event->type) {
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        err = build_close(build);
        key_next(keys, build, true);
        return err;
    case FYET_SCALAR:
        err = bare_check(event, build, at);
        return err != ERR_OK ? err : scalar_take(event, build, keys, at);
    case FYET_MAPPING_START:
    case FYET_SEQUENCE_START:
        err = bare_check(event, build, at);
        if (err == ERR_OK && key_due(keys, build)) {
            return build_refuse(build, ERR_SYNTAX, at, N_("a field name must be a text"), NULL);
        }
        if (err == ERR_OK) {
            err = event->type == FYET_MAPPING_START ? build_map(build, at) : build_array(build, at);
            key_next(keys, build, true);
        }
        return err;
    case FYET_ALIAS:
        return bare_check(event, build, at);
    default:
        return build_refuse(build, ERR_SYNTAX, at, N_("the YAML syntax is wrong here"),
                            N_("check indentation, colons and quotes"));
    }
}

/* One event outside of records. *ret_done at the end of the stream. */
static enum err outer_take(struct yaml *yaml, struct fy_event *event, struct build *build,
                           bool *ret_done)
{
    switch (event->type) {
    case FYET_STREAM_START:
    case FYET_DOCUMENT_END:
        return ERR_OK;
    case FYET_DOCUMENT_START:
        if (event->document_start.document_state != NULL &&
            fy_document_state_tags_explicit(event->document_start.document_state)) {
            yaml->broken = true;
            return build_refuse(build, ERR_SYNTAX, yaml->at, N_("tags (!) are not accepted"),
                                N_("remove the tag, or put the text in quotes"));
        }
        return ERR_OK;
    case FYET_SEQUENCE_START:
        if (!yaml->in_list) {
            yaml->in_list = true;
            return bare_check(event, build, yaml->at);
        }
        break;
    case FYET_SEQUENCE_END:
        yaml->in_list = false;
        return ERR_OK;
    case FYET_STREAM_END:
        *ret_done = true;
        return ERR_OK;
    case FYET_SCALAR: {
        struct fy_token *token = fy_event_get_token(event);
        if (!yaml->in_list && (token == NULL || fy_token_get_text_length(token) == 0)) {
            return ERR_OK; /* an empty document */
        }
        break;
    }
    default:
        break;
    }
    yaml->broken = true;
    return build_refuse(build, ERR_SYNTAX, yaml->at, N_("a record must be a map of fields"),
                        N_("such as: kind: innovation, then slug: my-entry, a line each"));
}

static void place_note(struct yaml *yaml, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (mark != NULL && mark->line >= 0 && mark->column >= 0) {
        yaml->at = YAML_AT(mark->line, mark->column);
    }
}

/* How an event changes the nesting. */
static int nesting(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_MAPPING_START:
    case FYET_SEQUENCE_START:
        return 1;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return -1;
    default:
        return 0;
    }
}

/* A whole record whose mapping has begun with `event`, which is freed. A record that is refused is
 * read to its end all the same, so that the next one can be. */
static enum err record_read(struct yaml *yaml, struct build *build, struct fy_event *event)
{
    struct keys keys = {0};
    enum err refused = ERR_OK;
    int depth = 0;
    while (true) {
        place_note(yaml, event);
        depth += nesting(event);
        if (refused == ERR_OK) {
            refused = event_take(event, build, &keys, yaml->at);
        }
        fy_parser_event_free(yaml->parser, event);
        if (depth == 0) {
            return refused != ERR_OK ? refused : build_finish(build);
        }
        event = fy_parser_parse(yaml->parser);
        if (event == NULL) {
            return syntax_refuse(yaml, build);
        }
    }
}

enum err yaml_next(struct yaml *yaml, struct build *build, bool *ret_found)
{
    build_start(build);
    while (true) {
        struct fy_event *event = fy_parser_parse(yaml->parser);
        if (event == NULL) {
            return syntax_refuse(yaml, build);
        }
        place_note(yaml, event);
        if (event->type == FYET_MAPPING_START) {
            *ret_found = true;
            return record_read(yaml, build, event);
        }
        bool done = false;
        enum err err = outer_take(yaml, event, build, &done);
        fy_parser_event_free(yaml->parser, event);
        if (err != ERR_OK) {
            return err;
        }
        if (done) {
            *ret_found = false;
            return ERR_OK;
        }
    }
}
