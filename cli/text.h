/* SPDX-License-Identifier: EUPL-1.2 */
/* cli/text.h: the gettext marks. Msgids are English; po/fr.po is complete (a test checks it). */
#ifndef ESSAIM_CLI_TEXT_H
#define ESSAIM_CLI_TEXT_H

#include <libintl.h>

#define TEXT_DOMAIN "essaim"
#define _(msgid) gettext(msgid)
#define N_(msgid) msgid

#endif
