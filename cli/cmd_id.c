/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim id: the lab's did:key alone on stdout. Where no daemon runs it is read from the lab
 * record, which is public and signed. */
#include <stdio.h>

#include "base/limits.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/did.h"
#include "proto/lab.h"

static json_t *answer_json(const char *did, struct bytes name, const char *role)
{
    json_t *answer = json_object();
    value_set(answer, "id", json_string(did));
    value_set(answer, "name", value_str(name));
    value_set(answer, "role", role == NULL ? json_null() : json_string(role));
    return answer;
}

/* DIR/lab.record; NULL when it is not there or not good. */
static json_t *record_read(const char *dir)
{
    char path[4096];
    uint8_t bytes[RECORD_SIZE_MAX];
    struct lab_record record;
    int size = snprintf(path, sizeof path, "%s/lab.record", dir);
    FILE *file = size > 0 && (size_t) size < sizeof path ? fopen(path, "rbe") : NULL;
    if (file == NULL) {
        return NULL;
    }
    size_t got = fread(bytes, 1, sizeof bytes, file);
    (void) fclose(file);
    if (lab_record_open(bytes_of(bytes, got), &record) != ERR_OK) {
        return NULL;
    }
    char did[DID_SIZE_MAX];
    did_encode(&record.lab, did);
    return answer_json(did, record.name, NULL);
}

static enum err hello_ask(struct cli *cli, json_t **ret_answer)
{
    struct ctl_msg msg;
    struct bytes lab = {0};
    struct bytes name = {0};
    struct bytes role = {0};
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        err = rpc_call(&cli->rpc, CTL_hello, bytes_of(NULL, 0), &msg, &cli->flaw);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (ctl_get_bin(&msg.result, "lab", &lab) != ERR_OK || lab.size != KEY_SIZE ||
        ctl_get_str(&msg.result, "name", &name) != ERR_OK ||
        ctl_get_str(&msg.result, "role", &role) != ERR_OK) {
        ctl_done(&msg);
        return flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                        N_("are essaim and essaimd of the same version?"));
    }
    struct lab_id id;
    char did[DID_SIZE_MAX];
    bytes_copy(id.bytes, lab);
    did_encode(&id, did);
    *ret_answer = answer_json(did, name, NULL);
    value_set(*ret_answer, "role", value_str(role));
    ctl_done(&msg);
    return ERR_OK;
}

enum err cmd_id(struct cli *cli)
{
    json_t *answer = NULL;
    enum err err = hello_ask(cli, &answer);
    if (err == ERR_NO_DAEMON) {
        answer = record_read(cli->dir);
        err = answer == NULL ? err : ERR_OK;
    }
    if (err != ERR_OK) {
        return err;
    }
    if (!out_is_json(&cli->out) && !cli->out.own_fields) {
        cli->out.format = OUT_IDS; /* alone, so that $(essaim id) is the id */
    }
    return out_single(&cli->out, "essaim.id/1", answer, "id");
}
