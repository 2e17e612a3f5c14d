/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/words.h: what the daemon says, as people say it. Tokens (kinds, states) and sentences of the
 * daemon come in English; here are the ones we can translate. JSON and pipes keep them as they are.
 */
#ifndef ESSAIM_CLI_WORDS_H
#define ESSAIM_CLI_WORDS_H

/* In the user's language; `word` itself when it is not one of ours. */
const char *words_of(const char *word);

#endif
