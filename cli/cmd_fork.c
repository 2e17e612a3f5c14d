/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim fork: labs that signed two histories under one key. `fork show` checks the proof here, so
 * that nobody need believe the daemon. */
#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/did.h"
#include "proto/fork.h"
#include "proto/pack.h"

static const struct out_column columns[] = {
    {.path = "id", .title = N_("LAB-ID"), .flexible = true},
    {.path = "name", .title = N_("LAB"), .flexible = true},
    {.path = "generation", .title = N_("GENERATION"), .right = true},
    {.path = "from", .title = N_("FROM HEAD"), .right = true},
    {.path = "n", .title = N_("HELD"), .right = true},
};

static enum err list(struct cli *cli)
{
    struct ctl_msg msg;
    enum err err = rpc_call(&cli->rpc, CTL_forks, bytes_of(NULL, 0), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    ctl_done(&msg);
    json_t *whole = value_unpack(rpc_last(&cli->rpc));
    json_t *forks = json_object_get(json_array_get(whole, 3), "forks");
    size_t index = 0;
    json_t *fork = NULL;
    out_begin(&cli->out, "essaim.forks/1", columns, sizeof columns / sizeof columns[0], "id");
    json_array_foreach(forks, index, fork)
    {
        value_set(fork, "id", json_incref(json_object_get(fork, "did")));
        value_set(fork, "from", json_incref(json_object_get(fork, "k")));
        (void) json_object_del(fork, "lab");
        (void) json_object_del(fork, "did");
        (void) json_object_del(fork, "k");
        (void) json_object_del(fork, "proof_size");
        out_item(&cli->out, fork);
    }
    json_decref(whole);
    return out_end(&cli->out, NULL);
}

static json_t *branch_json(const struct head *head)
{
    json_t *branch = json_object();
    value_set(branch, "n", value_uint(head->n));
    value_set(branch, "issued_at", value_when(head->issued_at));
    value_set(branch, "count", value_uint(head->count));
    value_set(branch, "instance", value_hex(BYTES_OF_ARRAY(head->instance)));
    value_set(branch, "head_hash", value_hex(BYTES_OF_ARRAY(head->hash.bytes)));
    return branch;
}

static enum err forked_print(struct cli *cli, struct bytes proof, uint64_t k, uint64_t generation)
{
    struct forked forked = {0};
    json_t *answer = json_object();
    bool proven = proof.size > 0;
    if (proven && fork_verify(proof, &forked) != ERR_OK) {
        json_decref(answer);
        return flaw_set(&cli->flaw, ERR_CORRUPT, N_("this proves nothing"),
                        N_("are essaim and essaimd of the same version?"));
    }
    if (proven) {
        char did[DID_SIZE_MAX];
        did_encode(&forked.record.lab, did);
        json_t *lab = json_object();
        value_set(lab, "id", json_string(did));
        value_set(lab, "name", value_str(forked.record.name));
        value_set(answer, "lab", lab);
    }
    value_set(answer, "generation", value_uint(generation));
    value_set(answer, "from", value_uint(k));
    value_set(answer, "agreed", proven && forked.exact ? value_uint(k - 1) : json_null());
    value_set(answer, "proven", json_boolean(proven));
    if (proven) {
        value_set(answer, "one", branch_json(&forked.a));
        value_set(answer, "other", branch_json(&forked.b));
        value_set(answer, "proof_bytes", value_uint(proof.size));
    } else {
        voice_note(&cli->voice,
                   _("the proof is too long to be passed on: other nodes learn of this "
                     "fork only where they meet both branches"));
    }
    return out_single(&cli->out, "essaim.fork/1", answer, "from");
}

static enum err show(struct cli *cli, const char *lab)
{
    struct ctl_msg msg;
    struct bytes proof = {0};
    uint64_t k = 0;
    uint64_t generation = 0;
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "lab");
    pack_cstr(&params, lab);
    enum err err = rpc_call(&cli->rpc, CTL_fork_show, buf_bytes(&params), &msg, &cli->flaw);
    if (err != ERR_OK) {
        return err;
    }
    bool good = ctl_get_bin(&msg.result, "proof", &proof) == ERR_OK &&
                ctl_get_uint(&msg.result, "k", &k) == ERR_OK && k > 0 &&
                ctl_get_uint(&msg.result, "generation", &generation) == ERR_OK;
    err = good ? forked_print(cli, proof, k, generation)
               : flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                          N_("are essaim and essaimd of the same version?"));
    ctl_done(&msg);
    return err;
}

enum err cmd_fork(struct cli *cli)
{
    const char *verb = cli->opts.operand_count > 0 ? cli->opts.operands[0] : "list";
    bool listed = strcmp(verb, "list") == 0 && cli->opts.operand_count < 2;
    if (!listed && strcmp(verb, "show") != 0) {
        (void) flaw_set(&cli->flaw, ERR_USAGE, N_("unknown word"), N_("say list or show [LAB]"));
        flaw_detail(&cli->flaw, "%s", verb);
        return ERR_USAGE;
    }
    enum err err = cmd_connect(cli);
    if (err != ERR_OK) {
        return err;
    }
    return listed ? list(cli) : show(cli, cli->opts.operand_count > 1 ? cli->opts.operands[1] : "");
}
