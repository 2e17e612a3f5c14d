/* SPDX-License-Identifier: EUPL-1.2 */
/* essaim prove: a proof that a lab's catalogue holds an entry, or does not, as bytes on stdout.
 * essaim verify-proof: checks one, with no daemon, no store and no network. */
#include <stdio.h>
#include <unistd.h>

#include "base/defer.h"
#include "cli/cmd.h"
#include "cli/text.h"
#include "cli/value.h"
#include "proto/did.h"
#include "proto/pack.h"
#include "proto/proof.h"

static json_t *proven_json(const struct proven *proven)
{
    char did[DID_SIZE_MAX];
    did_encode(&proven->record.lab, did);
    json_t *lab = json_object();
    value_set(lab, "id", json_string(did));
    value_set(lab, "name", value_str(proven->record.name));
    json_t *head = json_object();
    value_set(head, "n", value_uint(proven->head.n));
    value_set(head, "generation", value_uint(proven->head.generation));
    value_set(head, "count", value_uint(proven->head.count));
    value_set(head, "issued_at", value_when(proven->head.issued_at));
    json_t *answer = json_object();
    value_set(answer, "present", json_boolean(proven->present));
    value_set(answer, "lab", lab);
    value_set(answer, "slug", value_str(proven->slug));
    value_set(answer, "head", head);
    if (proven->present) {
        value_set(answer, "kind", value_str(proven->entry.kind));
        value_set(answer, "rev", value_uint(proven->entry.rev));
        value_set(answer, "leaf", value_hex(BYTES_OF_ARRAY(proven->leaf.bytes)));
        json_t *body = value_unpack(proven->entry.body);
        value_set(answer, "body", body == NULL ? json_null() : body);
    }
    return answer;
}

/* With --json: what it says, and the bytes themselves. */
static enum err proof_print(struct cli *cli, struct bytes proof, const struct proven *proven)
{
    if (cli->voice.json) {
        json_t *answer = proven_json(proven);
        value_set(answer, "proof", value_hex(proof));
        return out_single(&cli->out, "essaim.proof/1", answer, "slug");
    }
    if (isatty(STDOUT_FILENO) == 1) {
        return flaw_set(&cli->flaw, ERR_USAGE, N_("a proof is bytes, not text"),
                        N_("write it to a file: essaim prove LAB/SLUG > FILE"));
    }
    if (fwrite(proof.data, 1, proof.size, stdout) != proof.size || fflush(stdout) != 0) {
        return flaw_set(&cli->flaw, ERR_IO, N_("the output cannot be written"), NULL);
    }
    return ERR_OK;
}

enum err cmd_prove(struct cli *cli)
{
    struct ctl_msg msg;
    struct bytes proof = {0};
    defer(buf_done) struct buf params = {0};
    enum err err = cmd_connect(cli);
    if (err == ERR_OK) {
        pack_map(&params, 1);
        pack_cstr(&params, "ref");
        pack_cstr(&params, cli->opts.operands[0]);
        err = rpc_call(&cli->rpc, CTL_prove, buf_bytes(&params), &msg, &cli->flaw);
    }
    if (err != ERR_OK) {
        return err;
    }
    struct proven proven;
    if (ctl_get_bin(&msg.result, "proof", &proof) != ERR_OK ||
        proof_verify(proof, &proven) != ERR_OK) {
        err = flaw_set(&cli->flaw, ERR_NET, N_("the daemon's answer cannot be understood"),
                       N_("are essaim and essaimd of the same version?"));
    } else {
        err = proof_print(cli, proof, &proven);
    }
    ctl_done(&msg);
    return err;
}

static enum err file_read(struct cli *cli, const char *path, struct buf *into)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (file == NULL) {
        enum err err = flaw_set(&cli->flaw, ERR_NOT_FOUND, N_("the file cannot be read"),
                                N_("check the name"));
        flaw_detail(&cli->flaw, "%s", path);
        return err;
    }
    buf_init(into, PROOF_SIZE_MAX + 1);
    size_t got = 1;
    while (got > 0 && into->err == ERR_OK) {
        uint8_t part[4096];
        got = fread(part, 1, sizeof part, file);
        buf_put(into, bytes_of(part, got));
    }
    bool failed = ferror(file) != 0;
    if (file != stdin) {
        (void) fclose(file);
    }
    if (failed || into->err != ERR_OK) {
        enum err err = failed ? ERR_IO : into->err;
        (void) flaw_set(&cli->flaw, err, failed ? N_("the file cannot be read") : NULL, NULL);
        flaw_detail(&cli->flaw, "%s", path);
        return err;
    }
    return ERR_OK;
}

enum err cmd_verify_proof(struct cli *cli)
{
    defer(buf_done) struct buf bytes = {0};
    struct proven proven;
    enum err err = file_read(cli, cli->opts.operands[0], &bytes);
    if (err != ERR_OK) {
        return err;
    }
    err = proof_verify(buf_bytes(&bytes), &proven);
    if (err != ERR_OK) {
        enum err said = flaw_set(&cli->flaw, ERR_CORRUPT, N_("this proves nothing"),
                                 N_("ask for the proof again, from another lab if need be"));
        flaw_detail(&cli->flaw, "%s: %s", cli->opts.operands[0], err_code(err));
        return said;
    }
    return out_single(&cli->out, "essaim.proof/1", proven_json(&proven), "slug");
}
