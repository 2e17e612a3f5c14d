/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/item.h: an entry as an item of the output: id, lab, slug, kind, rev, title, lang. */
#ifndef ESSAIM_CLI_ITEM_H
#define ESSAIM_CLI_ITEM_H

#include "cli/labs.h"

/* `entry` is an entry's bytes as the daemon gave them, checked here again. NULL when they are no
 * entry. With `body` the whole body is there, too. `wanted` is the language of the title. */
json_t *item_of_entry(struct labs *labs, struct bytes lab, struct bytes entry, const char *wanted,
                      bool body);

/* "LAB-ID/SLUG". */
json_t *item_id(struct bytes lab, struct bytes slug);

#endif
