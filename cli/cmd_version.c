/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim version: of this program; the daemon's own is in `essaim status`. */
#include "cli/cmd.h"
#include "cli/value.h"

enum err cmd_version(struct cli *cli)
{
    json_t *answer = json_object();
    value_set(answer, "name", json_string("essaim"));
    value_set(answer, "version", json_string(ESSAIM_VERSION));
    if (out_is_json(&cli->out) || cli->out.own_fields || cli->out.format == OUT_IDS) {
        return out_single(&cli->out, "essaim.version/1", answer, "version");
    }
    json_decref(answer);
    buf_put_str(&cli->out.text, "essaim " ESSAIM_VERSION "\n");
    return out_flush(&cli->out);
}
