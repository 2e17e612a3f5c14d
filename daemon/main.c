/* SPDX-License-Identifier: EUPL-1.2 */
/* daemon/main.c: essaimd's command line: options, then daemon_run. Exits as design §10 says. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/process.h"

static const char usage[] =
    "usage: essaimd --dir DIR [--log-level LEVEL]\n"
    "\n"
    "Runs the daemon of the lab whose data directory is DIR, in the foreground.\n"
    "\n"
    "  -d, --dir DIR          the directory that `essaim init` made\n"
    "  -l, --log-level LEVEL  error, warning, info or debug, instead of the configured one\n"
    "  -V, --version          print the version\n"
    "  -h, --help             print this help\n"
    "\n"
    "See essaimd(8) and essaimd.conf(5).\n";

static int wrong(const char *what)
{
    log_write(LOG_LEVEL_ERROR, err_code(ERR_USAGE), "%s; try: essaimd --help", what);
    return err_exit(ERR_USAGE);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"dir", required_argument, NULL, 'd'},
        {"log-level", required_argument, NULL, 'l'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct daemon_options options = {0};
    if (!process_descriptors()) {
        return err_exit(ERR_IO);
    }
    log_init();
    opterr = 0; /* we say it ourselves, escaped */
    int option = 0;
    while ((option = getopt_long(argc, argv, "d:l:Vh", known, NULL)) != -1) {
        switch (option) {
        case 'd':
            options.dir = optarg;
            break;
        case 'l':
            options.log_level = optarg;
            break;
        case 'V':
            return puts("essaimd " ESSAIM_VERSION) < 0;
        case 'h':
            return fputs(usage, stdout) < 0;
        default:
            return wrong("unknown option, or one without its value");
        }
    }
    if (optind < argc) {
        return wrong("an argument too many");
    }
    if (options.dir == NULL) {
        return wrong("--dir DIR is missing");
    }
    enum err err = process_harden();
    if (err != ERR_OK) {
        log_write(LOG_LEVEL_ERROR, err_code(err), "core dumps cannot be forbidden");
        return err_exit(err);
    }
    return err_exit(daemon_run(&options));
}
