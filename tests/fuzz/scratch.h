/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/fuzz/scratch.h: one store of a process, on tmpfs, that begins every run with the same
 * bytes.
 *
 *     if (!scratch_saved()) { make it, close it, scratch_save(); } else { scratch_restore(); }
 */
#ifndef ESSAIM_TESTS_FUZZ_SCRATCH_H
#define ESSAIM_TESTS_FUZZ_SCRATCH_H

#include <stdbool.h>

/* For store_open. The directory above it is made at the first call ($ESSAIM_SIM_DIR, or /dev/shm)
 * and removed when the process ends well. */
const char *scratch_path(void);
/* A path beside it where nothing is yet, for a copy; whoever made one there removes it. */
const char *scratch_beside(void);
bool scratch_saved(void);
/* Keeps the closed store's file in memory; writes it back. */
void scratch_save(void);
void scratch_restore(void);

#endif
