/* SPDX-License-Identifier: EUPL-1.2 */
/* proto/pattern.h: the shapes of short texts in entries: addresses, dates, codes. Shapes only:
 * nothing is looked up. All take valid UTF-8. */
#ifndef ESSAIM_PROTO_PATTERN_H
#define ESSAIM_PROTO_PATTERN_H

#include <stdbool.h>

#include "base/bytes.h"

#define URI_SIZE_MAX 2048

/* How well a text fits a vocabulary that may grow. */
enum fit { FIT_NO, FIT_UNSURE, FIT_YES };

/* BCP 47: subtags of 1 to 8 letters or digits, the first of letters ("fr", "pt-BR"). */
bool pattern_lang(struct bytes text);
/* An absolute URI or IRI that may stand as an identifier: a scheme that runs nothing, no blanks,
 * controls, quotes or angle brackets; http and https with a host. */
bool pattern_uri(struct bytes text);
/* … and that a reader may follow: of http, https, mailto, git, ssh and the like. */
bool pattern_link(struct bytes text);
/* A mail address: one @, no blanks, a domain with a dot. */
bool pattern_email(struct bytes text);
/* A mail address that looks like a person's (prenom.nom@), not like a role's. */
bool pattern_email_personal(struct bytes text);
/* YYYY-MM-DD, a day that exists. */
bool pattern_date(struct bytes text);
/* RFC 3339 in UTC: YYYY-MM-DDThh:mm:ss[.f]Z. */
bool pattern_timestamp(struct bytes text);
/* com: dep: reg: epci: nuts: fr, ISO 3166-1 and -2. UNSURE for a code of another authority. */
enum fit pattern_territory(struct bytes text);
/* siren: siret: rna: ror: wikidata: or an absolute URI. UNSURE where a check digit is wrong. */
enum fit pattern_org(struct bytes text);
/* An SPDX licence expression, by its characters. */
bool pattern_licence(struct bytes text);
/* 64 lower-case hexadecimal digits. */
bool pattern_sha256(struct bytes text);
/* Of what a relation points at: did:key:…/slug, a slug, or an absolute URI. */
bool pattern_ref(struct bytes text);

#endif
