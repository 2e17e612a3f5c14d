/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/item.c: reads only the fields it needs, unless the whole body is wanted. */
#include "cli/item.h"

#include "cli/lang.h"
#include "cli/value.h"
#include "proto/did.h"
#include "proto/entry.h"

#define LANG_DEFAULT "fr"

json_t *item_id(struct bytes lab, struct bytes slug)
{
    char did[DID_SIZE_MAX] = "";
    if (lab.size == KEY_SIZE) {
        struct lab_id id;
        bytes_copy(id.bytes, lab);
        did_encode(&id, did);
    }
    return json_sprintf("%s/%.*s", did, (int) slug.size, (const char *) slug.data);
}

static json_t *field_value(const struct entry *entry, const char *name)
{
    struct bytes packed = {0};
    return entry_field(entry, name, &packed) == ERR_OK ? value_unpack(packed) : NULL;
}

json_t *item_of_entry(struct labs *labs, struct bytes lab, struct bytes entry, const char *wanted,
                      bool body)
{
    struct entry view;
    if (entry_decode(entry, &view) != ERR_OK) {
        return NULL;
    }
    json_t *item = json_object();
    json_t *title = field_value(&view, "title");
    json_t *lang = field_value(&view, "lang");
    const char *entry_lang = json_string_length(lang) > 0 ? json_string_value(lang) : LANG_DEFAULT;
    const char *used = NULL;
    const char *text = lang_pick(title, wanted, entry_lang, &used);
    value_set(item, "id", item_id(lab, view.slug));
    value_set(item, "lab", labs_json(labs, lab));
    value_set(item, "slug", value_str(view.slug));
    value_set(item, "kind", value_str(view.kind));
    value_set(item, "rev", value_uint(view.rev));
    value_set(item, "title", text == NULL ? json_null() : json_string(text));
    value_set(item, "lang", text == NULL ? json_null() : json_string(used));
    if (body) {
        json_t *whole = value_unpack(view.body);
        value_set(item, "body", whole == NULL ? json_null() : whole);
    }
    json_decref(title);
    json_decref(lang);
    return item;
}
