/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/target.c: see target.h. */
#include "cli/target.h"

#include <string.h>

#include "cli/text.h"
#include "conf/address.h"
#include "proto/did.h"

static enum err usage(struct flaw *flaw, const char *text, const char *hint, const char *word)
{
    (void) flaw_set(flaw, ERR_USAGE, text, hint);
    flaw_detail(flaw, "%s", word);
    return ERR_USAGE;
}

enum err target_parse(const char *text, struct target *ret_target, struct flaw *flaw)
{
    const char *at = strchr(text, '@');
    struct target target = {
        .lab = bytes_of(text, at == NULL ? strlen(text) : (size_t) (at - text)),
        .address = bytes_of_str(at == NULL ? "" : at + 1),
    };
    struct address address;
    if (did_decode(target.lab, &target.id) != ERR_OK) {
        return usage(flaw, N_("this is no lab id"),
                     N_("it looks like did:key:z6Mk…; that lab prints it with: essaim id"), text);
    }
    if (at != NULL && (address_parse(target.address, &address) != ERR_OK || address.port == 0)) {
        return usage(flaw, N_("this is no address"), N_("write LAB@HOST:PORT"), text);
    }
    *ret_target = target;
    return ERR_OK;
}
