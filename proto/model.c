/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * proto/model.c: the fields every kind shares, one table, checked in one pass.
 *
 * A canonical map's keys ascend and so do the rows of a table: both are walked side by side, keys
 * that have no row are unknown fields and pass, rows that have no key are absent. A field of the
 * body may hold a text, a list, or objects with a table of their own; objects hold only texts, so
 * two levels of walkers are enough and none calls itself.
 *
 * Nothing stops at the first mistake: every issue is gathered, with what is wrong and how to mend
 * it. The texts are gettext msgids.
 */
#include "proto/model.h"

#include "base/limits.h"
#include "base/must.h"
#include "base/utf8.h"
#include "proto/pattern.h"
#include "proto/scan.h"

/* Marks a msgid; the translation happens in cli/. */
#define N_(text) (text)

#define TITLE_CHARS_MAX 200
#define SUMMARY_CHARS_MAX 500
#define TAG_CHARS_MAX 40
#define TAGS_MAX 20
#define STEPS_MAX 4

const char *const model_kinds[] = {"adoption", "event",    "feedback", "innovation", "lab",
                                   "need",     "resource", "training", NULL};

/* Where we are: "orgs", [2], "role". */
struct step {
    struct bytes name; /* empty: an index */
    uint64_t index;
};

struct check {
    struct bytes body;
    struct bytes kind;
    struct step steps[STEPS_MAX];
    unsigned step_count;
    struct model_report *report;
};

/* One value: its head, and where what follows the head begins. */
struct value {
    struct scan_item item;
    size_t at;
};

struct row {
    const char *name;
    void (*check)(struct check *check, const struct row *row, struct value value);
    const char *missing; /* required: what to say when it is absent */
    const char *missing_hint;
    size_t chars_max;           /* of texts; 0: no bound of its own */
    size_t items_max;           /* of lists; 0: no bound of its own */
    const struct row *inner;    /* of objects, ROW_END last; of lists: one row for each item */
    const char *const *choices; /* NULL-terminated */
    const char *hint;           /* how to write it, or to shorten it */
};
#define ROW_END                                                                                    \
    {                                                                                              \
        .name = NULL                                                                               \
    }

/* ---- reporting ---- */

static size_t path_put(char *path, size_t at, struct bytes text)
{
    size_t room = MODEL_PATH_MAX - 1 - at;
    size_t size = text.size < room ? text.size : room;
    while (size > 0 && size < text.size && (text.data[size] & 0xc0) == 0x80) {
        size--; /* cut between characters */
    }
    bytes_copy(path + at, bytes_of(text.data, size));
    return at + size;
}

static size_t path_put_index(char *path, size_t at, uint64_t index)
{
    uint8_t digits[24];
    size_t from = sizeof digits;
    digits[--from] = ']';
    do {
        digits[--from] = (uint8_t) ('0' + index % 10);
        index /= 10;
    } while (index > 0);
    digits[--from] = '[';
    return path_put(path, at, bytes_of(digits + from, sizeof digits - from));
}

static void issue(struct check *check, bool warning, const char *text, const char *hint)
{
    struct model_report *report = check->report;
    report->errors += warning ? 0 : 1;
    if (report->count == MODEL_ISSUES_MAX) {
        return;
    }
    struct model_issue *kept = &report->issues[report->count++];
    *kept = (struct model_issue){.warning = warning, .text = text, .hint = hint};
    size_t at = 0;
    for (unsigned i = 0; i < check->step_count; i++) {
        const struct step *step = &check->steps[i];
        if (step->name.size == 0) {
            at = path_put_index(kept->field, at, step->index);
            continue;
        }
        if (i > 0) {
            at = path_put(kept->field, at, bytes_of_str("."));
        }
        at = path_put(kept->field, at, step->name);
    }
    kept->field[at] = '\0';
}

static void error(struct check *check, const char *text, const char *hint)
{
    issue(check, false, text, hint);
}

static void warn(struct check *check, const char *text, const char *hint)
{
    issue(check, true, text, hint);
}

static void step_in(struct check *check, struct bytes name, uint64_t index)
{
    must(check->step_count < STEPS_MAX);
    check->steps[check->step_count++] = (struct step){.name = name, .index = index};
}

static void step_out(struct check *check)
{
    must(check->step_count > 0);
    check->step_count--;
}

/* ---- walking ---- */

/* Reads the value at *at and moves behind the whole of it. The body is canonical (checked by
 * model_check), so this cannot fail. */
static struct value value_at(const struct check *check, size_t *at)
{
    struct value value = {.at = *at};
    enum err err = scan_next(check->body, &value.at, &value.item);
    must(err == ERR_OK);
    if (value.item.kind == SCAN_ARRAY || value.item.kind == SCAN_MAP) {
        err = scan_skip(check->body, at);
        must(err == ERR_OK);
    } else {
        *at = value.at;
    }
    return value;
}

/* Moves over the rows below `key`; the row of that name, or NULL. Required rows passed on the way
 * are missing. key.data == NULL: to the end. */
static const struct row *row_for(struct check *check, const struct row **rows, struct bytes key)
{
    for (; (*rows)->name != NULL; (*rows)++) {
        int order = key.data == NULL ? -1 : bytes_compare(bytes_of_str((*rows)->name), key);
        if (order > 0) {
            return NULL;
        }
        if (order == 0) {
            return (*rows)++;
        }
        if ((*rows)->missing != NULL) {
            step_in(check, bytes_of_str((*rows)->name), 0);
            error(check, (*rows)->missing, (*rows)->missing_hint);
            step_out(check);
        }
    }
    return NULL;
}

/* ---- texts ---- */

static bool is_text(struct check *check, struct value value)
{
    if (value.item.kind != SCAN_STR) {
        error(check, N_("this must be text"),
              N_("write one text; put it between quotes if it looks like a number or a date"));
        return false;
    }
    return true;
}

static bool is_empty(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] > 0x20) {
            return false;
        }
    }
    return true;
}

static void check_length(struct check *check, const struct row *row, struct bytes text)
{
    if (is_empty(text)) {
        error(check, N_("this text is empty"), N_("fill it in, or leave the field out"));
    } else if (row->chars_max != 0 && text.size > row->chars_max &&
               utf8_count(text) > row->chars_max) {
        error(check, N_("this text is too long"), row->hint);
    }
}

static void check_text(struct check *check, const struct row *row, struct value value)
{
    if (is_text(check, value)) {
        check_length(check, row, value.item.bytes);
    }
}

/* A text, or a map of language -> text. */
static void check_lm(struct check *check, const struct row *row, struct value value)
{
    if (value.item.kind == SCAN_STR) {
        check_length(check, row, value.item.bytes);
        return;
    }
    if (value.item.kind != SCAN_MAP || value.item.value == 0) {
        error(check, N_("this must be text, or a map from language to text"),
              N_("write \"text\", or {\"fr\": \"texte\", \"en\": \"text\"}"));
        return;
    }
    size_t at = value.at;
    for (uint64_t i = 0; i < value.item.value; i++) {
        struct bytes key = value_at(check, &at).item.bytes;
        struct value text = value_at(check, &at);
        step_in(check, key.size == 0 ? bytes_of_str("\"\"") : key, 0);
        if (!pattern_lang(key)) {
            error(check, N_("this key is not a language"),
                  N_("use BCP 47 tags: fr, en, br, pt-BR …"));
        } else {
            check_text(check, row, text);
        }
        step_out(check);
    }
}

static void check_lang(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_lang(value.item.bytes)) {
        error(check, N_("this is not a language tag"), N_("use BCP 47 tags: fr, en, br, pt-BR …"));
    }
}

static void check_link(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_link(value.item.bytes)) {
        error(check, N_("this is not an address one can follow"),
              N_("write the whole address without blanks, for instance https://example.fr/page"));
    }
}

static void check_uri(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_uri(value.item.bytes)) {
        error(check, N_("this is not an absolute URI"),
              N_("write the whole address, for instance https://example.fr/page or wikidata:Q42"));
    }
}

static void check_ref(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_ref(value.item.bytes)) {
        error(check, N_("this does not point at an entry"),
              N_("write did:key:…/slug, the slug of an entry of this lab, or an absolute URI"));
    }
}

static void check_email(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (!is_text(check, value)) {
        return;
    }
    if (!pattern_email(value.item.bytes)) {
        error(check, N_("this is not a mail address"), N_("write name@domain, without blanks"));
    } else if (pattern_email_personal(value.item.bytes)) {
        warn(check, N_("this looks like a person's mail address"),
             N_("what is published cannot be called back: use the mailbox of a team, or a form"));
    }
}

static void check_date(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_date(value.item.bytes)) {
        error(check, N_("this is not a date"), N_("write YYYY-MM-DD, for instance 2025-03-31"));
    }
}

static void check_timestamp(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_timestamp(value.item.bytes)) {
        error(check, N_("this is not a time in UTC"),
              N_("write YYYY-MM-DDThh:mm:ssZ, for instance 2025-03-31T14:00:00Z"));
    }
}

static void check_fetched(struct check *check, const struct row *row, struct value value)
{
    if (value.item.kind != SCAN_STR || !pattern_date(value.item.bytes)) {
        check_timestamp(check, row, value);
    }
}

static void check_territory(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (!is_text(check, value)) {
        return;
    }
    static const char *const hint =
        N_("use com:35238, dep:2A, reg:53, epci: and 9 digits, fr, nuts:FRH0 or ISO 3166 (IT)");
    enum fit fit = pattern_territory(value.item.bytes);
    if (fit == FIT_NO) {
        error(check, N_("this is not a territory code"), hint);
    } else if (fit == FIT_UNSURE) {
        warn(check, N_("this territory code is not known here; it is kept"), hint);
    }
}

static void check_org_id(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (!is_text(check, value)) {
        return;
    }
    enum fit fit = pattern_org(value.item.bytes);
    if (fit == FIT_NO) {
        error(check, N_("this does not identify an organisation"),
              N_("use siren: and 9 digits, siret: and 14, rna:W…, ror:…, wikidata:Q… or a URI"));
    } else if (fit == FIT_UNSURE) {
        warn(check, N_("the check digit of this number is wrong"),
             N_("look the number up again: reuse is counted by it"));
    }
}

static void check_licence(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_licence(value.item.bytes)) {
        error(check, N_("this is not a licence identifier"),
              N_("use an SPDX identifier: etalab-2.0, CC-BY-4.0, EUPL-1.2 …"));
    }
}

static void check_sha256(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !pattern_sha256(value.item.bytes)) {
        error(check, N_("this is not a SHA-256 sum"), N_("64 digits of 0-9 and a-f"));
    }
}

static void check_choice(struct check *check, const struct row *row, struct value value)
{
    if (!is_text(check, value)) {
        return;
    }
    for (const char *const *choice = row->choices; *choice != NULL; choice++) {
        if (bytes_equal(value.item.bytes, bytes_of_str(*choice))) {
            return;
        }
    }
    error(check, N_("this word is not one of the list"), row->hint);
}

static void check_audience(struct check *check, const struct row *row, struct value value)
{
    (void) row;
    if (is_text(check, value) && !bytes_equal(value.item.bytes, bytes_of_str("public"))) {
        error(check, N_("this audience does not exist"),
              N_("write public, or leave the field out"));
    }
}

static void check_refused(struct check *check, const struct row *row, struct value value)
{
    (void) value;
    error(check, N_("this field is not the author's to set"), row->hint);
}

/* ---- objects and lists ---- */

static void check_object(struct check *check, const struct row *row, struct value value)
{
    if (value.item.kind != SCAN_MAP) {
        error(check, N_("this must be a map of fields"), row->hint);
        return;
    }
    const struct row *rows = row->inner;
    size_t at = value.at;
    for (uint64_t i = 0; i < value.item.value; i++) {
        struct bytes key = value_at(check, &at).item.bytes;
        struct value field = value_at(check, &at);
        const struct row *inner = row_for(check, &rows, key);
        if (inner != NULL) {
            step_in(check, key, 0);
            inner->check(check, inner, field);
            step_out(check);
        }
    }
    (void) row_for(check, &rows, (struct bytes){0});
}

static void check_list(struct check *check, const struct row *row, struct value value)
{
    if (value.item.kind != SCAN_ARRAY) {
        error(check, N_("this must be a list"), N_("write [ … ] even when there is only one item"));
        return;
    }
    if (row->items_max != 0 && value.item.value > row->items_max) {
        error(check, N_("this list has too many items"), N_("keep the 20 that matter most"));
        return;
    }
    size_t at = value.at;
    for (uint64_t i = 0; i < value.item.value; i++) {
        struct value item = value_at(check, &at);
        step_in(check, (struct bytes){0}, i);
        row->inner->check(check, row->inner, item);
        step_out(check);
    }
}

static void warn_themes(struct check *check)
{
    if (bytes_equal(check->kind, bytes_of_str("innovation")) ||
        bytes_equal(check->kind, bytes_of_str("need"))) {
        warn(check, N_("no theme is given"),
             N_("add themes so that others find it: 04 economy, 05 environment, 07 health …"));
    }
}

static void check_themes(struct check *check, const struct row *row, struct value value)
{
    if (value.item.kind == SCAN_ARRAY && value.item.value == 0) {
        warn_themes(check);
    }
    check_list(check, row, value);
}

static void check_contact(struct check *check, const struct row *row, struct value value)
{
    if (value.item.kind == SCAN_MAP && value.item.value == 0) {
        error(check, N_("this contact is empty"), row->hint);
        return;
    }
    check_object(check, row, value);
}

/* ---- the tables; names ascend ---- */

static const char *const org_roles[] = {"owner",    "partner", "provider", "funder",    "user",
                                        "research", "citizen", "host",     "organiser", NULL};
static const char *const link_rels[] = {"repo",    "doc",   "demo",     "video", "image", "forum",
                                        "roadmap", "study", "evidence", "data",  NULL};
static const char *const relation_rels[] = {
    "answers",  "adopts",  "variant_of", "about",   "uses",       "teaches", "presents",
    "produced", "part_of", "joint_with", "same_as", "supersedes", NULL};
static const char *const seekings[] = {"adopters",     "partners", "funding", "testers",
                                       "contributors", "feedback", "host",    NULL};
static const char *const theme_codes[] = {"01", "02", "03", "04", "05", "06",
                                          "07", "08", "09", "10", NULL};

static const struct row contact_rows[] = {
    {.name = "email", .check = check_email},
    {.name = "label", .check = check_lm},
    {.name = "url", .check = check_link},
    ROW_END,
};
static const struct row link_rows[] = {
    {.name = "rel",
     .check = check_choice,
     .choices = link_rels,
     .hint = N_("one of repo, doc, demo, video, image, forum, roadmap, study, evidence, data"),
     .missing = N_("the kind of link is missing"),
     .missing_hint = N_("add rel: repo, doc, demo, video, image, forum, roadmap, study, evidence "
                        "or data")},
    {.name = "title", .check = check_lm},
    {.name = "url",
     .check = check_link,
     .missing = N_("the address is missing"),
     .missing_hint = N_("add url: https://…")},
    ROW_END,
};
static const struct row org_rows[] = {
    {.name = "id", .check = check_org_id},
    {.name = "name",
     .check = check_lm,
     .missing = N_("the name of the organisation is missing"),
     .missing_hint = N_("add name: its name as people write it")},
    {.name = "role",
     .check = check_choice,
     .choices = org_roles,
     .hint =
         N_("one of owner, partner, provider, funder, user, research, citizen, host, organiser"),
     .missing = N_("the role of the organisation is missing"),
     .missing_hint = N_("add role: owner, partner, provider, funder, user, research, citizen, host "
                        "or organiser")},
    {.name = "type", .check = check_text},
    ROW_END,
};
static const struct row relation_rows[] = {
    {.name = "rel",
     .check = check_choice,
     .choices = relation_rels,
     .hint = N_("one of answers, adopts, variant_of, about, uses, teaches, presents, produced, "
                "part_of, joint_with, same_as, supersedes"),
     .missing = N_("the kind of relation is missing"),
     .missing_hint = N_("add rel: answers, variant_of, uses, part_of …")},
    {.name = "to",
     .check = check_ref,
     .missing = N_("what the relation points at is missing"),
     .missing_hint = N_("add to: did:key:…/slug, a slug of this lab, or a URI")},
    ROW_END,
};
static const struct row source_rows[] = {
    {.name = "fetched",
     .check = check_fetched,
     .missing = N_("the time of the import is missing"),
     .missing_hint = N_("add fetched: YYYY-MM-DDThh:mm:ssZ")},
    {.name = "format",
     .check = check_text,
     .missing = N_("the format of the source is missing"),
     .missing_hint = N_("add format: publiccode, csv, json …")},
    {.name = "id", .check = check_text},
    {.name = "licence", .check = check_text},
    {.name = "sha256", .check = check_sha256},
    {.name = "url", .check = check_uri},
    ROW_END,
};

static const struct row item_lang = {.check = check_lang};
static const struct row item_uri = {.check = check_uri};
static const struct row item_territory = {.check = check_territory};
static const struct row item_tag = {.check = check_text,
                                    .chars_max = TAG_CHARS_MAX,
                                    .hint = N_("at most 40 characters: use several tags")};
static const struct row item_theme = {.check = check_choice,
                                      .choices = theme_codes,
                                      .hint =
                                          N_("a COFOG division between quotes, \"01\" to \"10\"")};
static const struct row item_seeking = {
    .check = check_choice,
    .choices = seekings,
    .hint = N_("one of adopters, partners, funding, testers, contributors, feedback, host")};
static const struct row item_link = {
    .check = check_object, .inner = link_rows, .hint = N_("write {rel: doc, url: https://…}")};
static const struct row item_org = {
    .check = check_object, .inner = org_rows, .hint = N_("write {name: …, role: owner}")};
static const struct row item_relation = {
    .check = check_object, .inner = relation_rows, .hint = N_("write {rel: answers, to: …}")};

static const struct row body_rows[] = {
    {.name = "audience", .check = check_audience},
    {.name = "body", .check = check_lm},
    {.name = "contact",
     .check = check_contact,
     .inner = contact_rows,
     .hint = N_("write {email: mailbox@example.fr} or {url: https://…}")},
    {.name = "created", .check = check_timestamp},
    {.name = "data_licence", .check = check_licence},
    {.name = "id", .check = check_refused, .hint = N_("leave id out: it is made of lab and slug")},
    {.name = "kind",
     .check = check_refused,
     .hint = N_("the kind stands beside the body, not in it")},
    {.name = "lang", .check = check_lang},
    {.name = "links", .check = check_list, .inner = &item_link},
    {.name = "mt", .check = check_list, .inner = &item_lang},
    {.name = "orgs", .check = check_list, .inner = &item_org},
    {.name = "relations", .check = check_list, .inner = &item_relation},
    {.name = "rev", .check = check_refused, .hint = N_("leave rev out: the lab numbers revisions")},
    {.name = "review_by", .check = check_date},
    {.name = "same_as", .check = check_list, .inner = &item_uri},
    {.name = "seeking", .check = check_list, .inner = &item_seeking},
    {.name = "slug",
     .check = check_refused,
     .hint = N_("the slug stands beside the body, not in it")},
    {.name = "source",
     .check = check_object,
     .inner = source_rows,
     .hint = N_("write {format: …, fetched: …}")},
    {.name = "summary",
     .check = check_lm,
     .chars_max = SUMMARY_CHARS_MAX,
     .hint = N_("at most 500 characters: say the rest in the body"),
     .missing = N_("the summary is missing"),
     .missing_hint = N_("add summary: what it is and does, in at most 500 characters")},
    {.name = "tags", .check = check_list, .inner = &item_tag, .items_max = TAGS_MAX},
    {.name = "territory", .check = check_list, .inner = &item_territory},
    {.name = "themes", .check = check_themes, .inner = &item_theme},
    {.name = "title",
     .check = check_lm,
     .chars_max = TITLE_CHARS_MAX,
     .hint = N_("at most 200 characters: say the rest in the summary or the body"),
     .missing = N_("the title is missing"),
     .missing_hint = N_("add title: what people call it, in at most 200 characters")},
    {.name = "updated", .check = check_timestamp},
    {.name = "url", .check = check_link},
    ROW_END,
};

bool model_kind_known(struct bytes kind)
{
    for (const char *const *known = model_kinds; *known != NULL; known++) {
        if (bytes_equal(kind, bytes_of_str(*known))) {
            return true;
        }
    }
    return false;
}

static void check_body(struct check *check, struct value map)
{
    const struct row *rows = body_rows;
    bool themes = false;
    size_t at = map.at;
    for (uint64_t i = 0; i < map.item.value; i++) {
        struct bytes key = value_at(check, &at).item.bytes;
        struct value field = value_at(check, &at);
        const struct row *row = row_for(check, &rows, key);
        if (row != NULL) {
            themes = themes || row->check == check_themes;
            step_in(check, key, 0);
            row->check(check, row, field);
            step_out(check);
        }
    }
    (void) row_for(check, &rows, (struct bytes){0});
    if (!themes) {
        step_in(check, bytes_of_str("themes"), 0);
        warn_themes(check);
        step_out(check);
    }
}

enum err model_check(struct bytes kind, struct bytes body, struct model_report *ret_report)
{
    static const struct scan_limits limits = {.depth_max = PACK_DEPTH_MAX,
                                              .nodes_max = BODY_NODES_MAX};
    struct model_report report = {0};
    struct check check = {.body = body, .kind = kind, .report = &report};
    struct value map;
    size_t at = 0;
    if (!model_kind_known(kind)) {
        step_in(&check, bytes_of_str("kind"), 0);
        error(&check, N_("this kind does not exist"),
              N_("one of lab, innovation, need, resource, training, event, adoption, feedback"));
        step_out(&check);
    } else if (body.size > ENTRY_SIZE_MAX) {
        error(&check, N_("the entry is too large"),
              N_("at most 60 KiB: publish long documents elsewhere and link to them"));
    } else if (scan_strict(body, limits) != ERR_OK) {
        error(&check, N_("the body is not canonical msgpack within the limits"), NULL);
    } else if (map = value_at(&check, &at), map.item.kind != SCAN_MAP) {
        error(&check, N_("the body must be a map of fields"), NULL);
    } else {
        check_body(&check, map);
    }
    *ret_report = report;
    return report.errors == 0 ? ERR_OK : ERR_FIELD;
}
