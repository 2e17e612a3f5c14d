/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/words.c: a closed list, so that foreign text never reaches gettext by chance. */
#include "cli/words.h"

#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "cli/text.h"

static const char *const words[] = {
    /* kinds */
    N_("adoption"),
    N_("event"),
    N_("feedback"),
    N_("innovation"),
    N_("lab"),
    N_("need"),
    N_("resource"),
    N_("training"),
    /* what became of a record, and changes */
    N_("created"),
    N_("updated"),
    N_("unchanged"),
    N_("refused"),
    N_("withdrawn"),
    N_("erased"),
    N_("published"),
    /* links and peers */
    N_("handshake"),
    N_("greeting"),
    N_("linked"),
    N_("closing"),
    N_("dialling"),
    N_("waiting"),
    N_("absent"),
    N_("refuses"),
    /* what labs say to have erased */
    N_("behind"),
    N_("silent"),
    N_("void"),
    /* refusals by the daemon */
    N_("a slug is 1 to 64 of a-z, 0-9 and hyphens, and starts with a letter or digit"),
    N_("unknown kind"),
    N_("a record is [slug, kind, body] or [slug, kind, body, rev]"),
    N_("too many records in one batch"),
    N_("this batch was cut off and is lost: send it again"),
    N_("lab must be a did:key of an Ed25519 key"),
    N_("an address is HOST:PORT"),
    N_("an alias is 1 to 64 of a-z, 0-9 and hyphens"),
    N_("this is the own lab"),
    N_("too many peers"),
    N_("no such method"),
    N_("no lab of that name is known"),
    N_("not a resume key of this method"),
    N_("ref is LAB/SLUG or SLUG"),
    N_("no such entry"),
    N_("no such lab"),
    N_("a repair is under way"),
    N_("force is a boolean"),
    N_("no peer is linked: the other branch can only come from one"),
    N_("the branches cannot be joined: sign on under new keys: essaim key rotate"),
    N_("a peer did not give its branch in time: try again"),
    N_("no fork of that lab is known"),
    N_("lab must be text"),
    N_("labs is an array of names"),
    N_("part is the next bytes of the bundle"),
    N_("another bundle is being imported"),
    N_("wait for the answers to the parts before"),
    /* what is wrong with a bundle */
    N_("this is no bundle"),
    N_("a message in the bundle is damaged"),
    N_("a message in the bundle does not belong there"),
    N_("a delta in a bundle that was not announced"),
    N_("a delta in a bundle begins before another ends"),
    N_("arrivals out of order"),
    N_("too many heads in a bundle"),
    N_("the bundle ends too early"),
    N_("the bundle goes on behind its end"),
    N_("since is the number of a head"),
    N_("after is what the last page gave as next"),
    N_("path is the full path of a file that is not there yet"),
    N_("another backup was just asked for"),
    N_("slug is that of an entry of this lab"),
    N_("no new keys lie ready"),
    N_("the new keys cannot be used"),
    N_("the new record is not one of this lab and these keys"),
    N_("something was published in between: sign the record anew"),
    /* why nothing of this lab is signed */
    N_("the root key signed newer keys for this lab: these sign nothing any more"),
    N_("this lab is being recovered: nothing is signed before essaim recover ends"),
    N_("this store is older than what this lab signed: nothing is signed until peers gave the "
       "rest back"),
    N_("this lab has two histories: nothing is signed until they are joined"),
    N_("peers hold a state of this lab that this store does not: nothing is signed"),
    /* what verify finds */
    N_("a row of the bodies table is malformed"),
    N_("the entry does not match its leaf"),
    N_("nothing points to this stored entry"),
    N_("a stored entry is malformed"),
    N_("the bodies table is damaged"),
    N_("the lab's record is missing"),
    N_("the lab's record is malformed"),
    N_("the signature of the lab's record does not verify"),
    N_("the signature of the head does not verify"),
    N_("the head belongs to a generation that does not stand"),
    N_("the chain does not hold the last good head of the generation before"),
    N_("a newer generation's head has not arrived yet"),
    N_("hashes of earlier heads are missing or damaged"),
    N_("the hashes of earlier heads do not lead to the head"),
    N_("there are hashes of heads behind the held one"),
    N_("the side of a merge head is damaged"),
    N_("a side belongs to no merge head"),
    N_("a fork is malformed"),
    N_("the proof of a fork does not verify"),
    N_("a fork belongs to no catalogue"),
    N_("a kept former revision is damaged"),
    N_("a version that gave way in a merge is damaged"),
    N_("nothing of that slug gave way"),
    N_("a bucket of entries does not match its digest"),
    N_("the entries do not match the signed root"),
    N_("count or bytes are not those of the head"),
    N_("the table of entries is damaged"),
    N_("the order of revisions does not match the entries"),
    N_("the stored entry is missing"),
    N_("entries are missing from the order of revisions"),
    N_("the order of revisions is damaged"),
    N_("the head is malformed"),
    N_("the head does not belong to this catalogue"),
    N_("the digests are malformed"),
    N_("a receipt is malformed"),
    N_("the signature of a receipt does not verify"),
    N_("the note of a withdrawal is damaged"),
    N_("the table of labs is damaged"),
    N_("a lab record is malformed or its signature does not verify"),
    N_("the table of heads is damaged"),
    N_("a table is out of order or cannot be searched"),
    N_("an arrival is missing or damaged"),
    N_("there are not as many arrivals as heads, records, forks and receipts"),
};

/* Warnings of `status` are tokens. */
static const struct {
    const char *token, *text;
} warnings[] = {
    {"clock",
     N_("the clock of this machine is off by an hour or more: set it, or what you publish is "
        "dated wrongly")},
    {"disk-full", N_("the disk is nearly full: writing is refused until there is room")},
    {"own-quota", N_("this lab's catalogue has reached its quota: withdraw something first")},
    {"own-head-unknown",
     N_("peers hold heads of this lab that this store never signed: nothing is published; if they "
        "are yours: essaim repair; if somebody has the key: essaim key rotate")},
    {"own-fork", N_("this lab's key signed two histories: nothing is published; join them: essaim "
                    "repair; if somebody has the key: essaim key rotate")},
    {"own-guard",
     N_("this store is older than what this lab signed: nothing is published until a peer gave "
        "the rest back (link one); if none has it: essaim repair --force")},
    {"own-replaced",
     N_("the root key signed newer keys for this lab: this directory publishes no more; use the "
        "one with the newer keys, or make this one anew: essaim recover")},
    {"recovering",
     N_("this lab is being recovered: nothing is published until essaim recover has ended")},
    {"erase-waits", N_("something withdrawn is still on the disk: the store could not be copied; "
                       "make room, then: essaim compact")},
    {"merge-lost", N_("versions of entries gave way when branches were joined: see essaim repair "
                      "lost; publish what is still wanted, then: essaim repair forget")},
};

const char *words_of(const char *word)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], word) == 0) {
            return _(words[i]);
        }
    }
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++) {
        if (strcmp(warnings[i].token, word) == 0) {
            return _(warnings[i].text);
        }
    }
    for (int i = 0; i < ERR_COUNT; i++) {
        if (strcmp(err_text((enum err) i), word) == 0) {
            return _(err_text((enum err) i));
        }
    }
    return word;
}
