/* SPDX-License-Identifier: EUPL-1.2 */
/* node/effects.c: the list of what a call wants done. Without memory it says so, and is void. */
#include <stdlib.h>

#include "node/parts.h"

struct effect *effects_add(struct node *node, enum effect_kind kind)
{
    struct effects *effects = node->effects;
    if (node_grow((void **) &effects->items, effects->count, &effects->cap,
                  sizeof *effects->items) != ERR_OK) {
        effects->err = ERR_NOMEM;
        return NULL;
    }
    struct effect *effect = &effects->items[effects->count++];
    *effect = (struct effect){.kind = kind};
    return effect;
}

void effects_done(struct effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        buf_free(effects->items[i].bytes);
    }
    free(effects->items);
    *effects = (struct effects){0};
}
