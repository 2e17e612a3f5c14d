/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * tests/sim/heap.c: what is to come and what came: the heap of events, ordered by (time, number),
 * the dice (xoshiro256**, Blackman and Vigna, seeded by splitmix64), the trace, and the last lines
 * for who reads about a failure.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "tests/sim/state.h"

struct sim *sim_running;
bool sim_inside, sim_faulted;
enum err sim_fault_err;

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t sim_roll(struct sim *sim)
{
    uint64_t *s = sim->dice;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

void sim_roll_bytes(struct sim *sim, uint8_t *into, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t rolled = sim_roll(sim);
        memcpy(into + i, &rolled, size - i < 8 ? size - i : 8);
    }
}

void sim_seed(struct sim *sim, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t z = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9ull;
        sim->dice[i] = z ^ (z >> 27);
    }
}

void sim_trace_add(struct sim *sim, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, size - i < 8 ? size - i : 8);
        sim->trace = rotl((sim->trace ^ word) * 0x100000001b3ull, 23); /* FNV-1a, in words */
    }
}

void sim_trace_number(struct sim *sim, uint64_t value)
{
    sim_trace_add(sim, &value, sizeof value);
}

/* ---- the heap ---- */

static bool earlier(const struct sim_slot *a, const struct sim_slot *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->number < b->number);
}

static void heap_swap(struct sim *sim, size_t a, size_t b)
{
    struct sim_slot slot = sim->heap[a];
    sim->heap[a] = sim->heap[b];
    sim->heap[b] = slot;
}

struct sim_item *sim_push(struct sim *sim, uint64_t at_ms, unsigned lab, enum sim_kind kind)
{
    if (sim->heap_count == sim->heap_cap) {
        sim->heap_cap = sim->heap_cap == 0 ? 256 : sim->heap_cap * 2;
        sim->heap = realloc(sim->heap, sim->heap_cap * sizeof *sim->heap);
        must(sim->heap != NULL);
    }
    struct sim_item *item = calloc(1, sizeof *item);
    must(item != NULL);
    item->lab = lab;
    item->epoch = sim->labs[lab]->epoch;
    item->kind = kind;
    size_t at = sim->heap_count++;
    sim->heap[at] = (struct sim_slot){.at_ms = at_ms, .number = sim->numbers++, .item = item};
    while (at > 0 && earlier(&sim->heap[at], &sim->heap[(at - 1) / 2])) {
        heap_swap(sim, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    return item;
}

struct sim_item *sim_pop(struct sim *sim, uint64_t *ret_at_ms)
{
    struct sim_slot first = sim->heap[0];
    sim->heap[0] = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < sim->heap_count; child++) {
            least = earlier(&sim->heap[child], &sim->heap[least]) ? child : least;
        }
        if (least == at) {
            *ret_at_ms = first.at_ms;
            return first.item;
        }
        heap_swap(sim, at, least);
        at = least;
    }
}

void sim_item_free(struct sim_item *item)
{
    buf_done(&item->bytes);
    free(item);
}

/* ---- telling ---- */

void sim_tell(struct sim *sim, const char *format, ...)
{
    char *line = sim->last[sim->last_count++ % SIM_LAST_COUNT];
    int size = snprintf(line, SIM_LAST_SIZE, "%10llu ", (unsigned long long) sim->now_ms);
    must(size > 0);
    va_list args;
    va_start(args, format);
    (void) vsnprintf(line + size, SIM_LAST_SIZE - (size_t) size, format, args);
    va_end(args);
    if (sim->telling) {
        (void) fprintf(stderr, "%s\n", line);
    }
}

void sim_last(const struct sim *sim)
{
    uint64_t from = sim->last_count > SIM_LAST_COUNT ? sim->last_count - SIM_LAST_COUNT : 0;
    for (uint64_t i = from; i < sim->last_count; i++) {
        (void) fprintf(stderr, "%s\n", sim->last[i % SIM_LAST_COUNT]);
    }
}

void sim_commit(char *into, size_t size)
{
    (void) snprintf(into, size, "unknown");
    FILE *git = popen("git -C '" SIM_SOURCE "' describe --always --dirty 2>/dev/null", "r");
    if (git != NULL) {
        char line[64];
        if (fgets(line, sizeof line, git) != NULL) {
            line[strcspn(line, "\n")] = 0;
            (void) snprintf(into, size, "%s", line);
        }
        (void) pclose(git);
    }
}

void sim_blame(uint64_t seed, const char *program)
{
    char commit[64];
    sim_commit(commit, sizeof commit);
    (void) fprintf(stderr, "seed %llu failed: commit %s; again with: SIM_SEED=%llu SIM_LOG=1 %s\n",
                   (unsigned long long) seed, commit, (unsigned long long) seed, program);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    if (sim->failure[0] != 0) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void) vsnprintf(sim->failure, sizeof sim->failure, format, args);
    va_end(args);
    sim_tell(sim, "FAILED: %s", sim->failure);
    if (!sim->soft) {
        sim_last(sim);
        abort();
    }
}
