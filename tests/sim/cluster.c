/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/sim/cluster.c: the heap of events, the links between labs, and the turn of each. */
#include "tests/sim/cluster.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/must.h"
#include "node/state.h"
#include "proto/did.h"
#include "proto/lab.h"
#include "proto/pack.h"
#include "store/catalogue.h"
#include "store/scrub.h"

#define SIM_LINKS_MAX 4096
#define SIM_WALL_S 1767225600 /* 2026-01-01 */

enum sim_kind { SIM_WAKE, SIM_EVENT };

struct sim_item {
    uint64_t at_ms, number;
    unsigned lab;
    unsigned epoch; /* of the lab's life: events for an earlier one are dropped */
    enum sim_kind kind;
    struct event event;
    struct buf bytes;
    char address[32];
};

struct sim_end {
    unsigned lab;
    uint32_t link;
    uint64_t bytes;      /* sent by this end */
    uint64_t arrives_ms; /* of the last bytes on their way: order is kept */
};

struct sim_conn {
    bool open;
    struct sim_end ends[2];
};

struct sim_lab {
    bool live, full;
    unsigned epoch;
    char dir[256];
    char name[64];
    struct lab_id id;
    uint8_t signing_secret[SIGN_SECRET_SIZE], link_secret[KEY_SIZE];
    struct buf record;
    struct store *store;
    struct node *node;
    uint64_t wake_ms;
    struct buf replies;
    bool replied;
};

struct sim {
    char dir[200];
    uint64_t now_ms, numbers, trace;
    uint64_t dice[4];
    uint64_t latency_min_ms, latency_max_ms;
    size_t split;
    uint64_t map_size, quota_entries;
    struct sim_lab labs[SIM_LABS_MAX];
    unsigned lab_count;
    bool cut[SIM_LABS_MAX][SIM_LABS_MAX];
    struct sim_conn conns[SIM_LINKS_MAX];
    unsigned conn_count;
    uint32_t next_link;
    struct sim_item *heap;
    size_t heap_count, heap_cap;
    struct effects effects;
};

/* ---- dice: xoshiro256** (Blackman, Vigna), seeded by splitmix64 ---- */

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t roll(struct sim *sim)
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

static void roll_bytes(struct sim *sim, uint8_t *into, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        into[i] = (uint8_t) roll(sim);
    }
}

static void trace_add(struct sim *sim, const void *data, size_t size)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < size; i++) {
        sim->trace = (sim->trace ^ at[i]) * 0x100000001b3ull; /* FNV-1a */
    }
}

static void trace_number(struct sim *sim, uint64_t value)
{
    trace_add(sim, &value, sizeof value);
}

/* ---- the heap ---- */

static bool earlier(const struct sim_item *a, const struct sim_item *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->number < b->number);
}

static void heap_swap(struct sim *sim, size_t a, size_t b)
{
    struct sim_item item = sim->heap[a];
    sim->heap[a] = sim->heap[b];
    sim->heap[b] = item;
}

static struct sim_item *heap_push(struct sim *sim, uint64_t at_ms, unsigned lab, enum sim_kind kind)
{
    if (sim->heap_count == sim->heap_cap) {
        sim->heap_cap = sim->heap_cap == 0 ? 256 : sim->heap_cap * 2;
        sim->heap = realloc(sim->heap, sim->heap_cap * sizeof *sim->heap);
        must(sim->heap != NULL);
    }
    size_t at = sim->heap_count++;
    sim->heap[at] = (struct sim_item){.at_ms = at_ms,
                                      .number = sim->numbers++,
                                      .lab = lab,
                                      .epoch = sim->labs[lab].epoch,
                                      .kind = kind};
    while (at > 0 && earlier(&sim->heap[at], &sim->heap[(at - 1) / 2])) {
        heap_swap(sim, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    return &sim->heap[at];
}

static struct sim_item heap_pop(struct sim *sim)
{
    struct sim_item first = sim->heap[0];
    sim->heap[0] = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < sim->heap_count; child++) {
            least = earlier(&sim->heap[child], &sim->heap[least]) ? child : least;
        }
        if (least == at) {
            return first;
        }
        heap_swap(sim, at, least);
        at = least;
    }
}

/* ---- connections ---- */

static struct sim_conn *conn_of(struct sim *sim, unsigned lab, uint32_t link, unsigned *ret_end)
{
    for (unsigned i = 0; i < sim->conn_count; i++) {
        for (unsigned end = 0; end < 2; end++) {
            if (sim->conns[i].ends[end].lab == lab && sim->conns[i].ends[end].link == link) {
                *ret_end = end;
                return &sim->conns[i];
            }
        }
    }
    return NULL;
}

static uint64_t latency(struct sim *sim)
{
    return sim->latency_min_ms + roll(sim) % (sim->latency_max_ms - sim->latency_min_ms + 1);
}

static void link_event(struct sim *sim, uint64_t at_ms, const struct sim_end *end,
                       enum event_kind kind)
{
    struct sim_item *item = heap_push(sim, at_ms, end->lab, SIM_EVENT);
    item->event.kind = kind;
    item->event.link = end->link;
}

static void conn_close(struct sim *sim, struct sim_conn *conn)
{
    if (!conn->open) {
        return;
    }
    conn->open = false;
    for (unsigned end = 0; end < 2; end++) {
        uint64_t at = conn->ends[1 - end].arrives_ms > sim->now_ms ? conn->ends[1 - end].arrives_ms
                                                                   : sim->now_ms;
        link_event(sim, at + 1, &conn->ends[end], EVENT_LINK_DOWN);
    }
}

static void conn_send(struct sim *sim, unsigned lab, uint32_t link, struct bytes bytes)
{
    unsigned end = 0;
    struct sim_conn *conn = conn_of(sim, lab, link, &end);
    if (conn == NULL || !conn->open) {
        return;
    }
    struct sim_end *from = &conn->ends[end];
    const struct sim_end *to = &conn->ends[1 - end];
    from->bytes += bytes.size;
    if (sim->cut[from->lab][to->lab]) {
        return; /* lost in the dark; nobody is told */
    }
    uint64_t at = sim->now_ms + latency(sim);
    from->arrives_ms = at > from->arrives_ms ? at : from->arrives_ms;
    link_event(sim, from->arrives_ms, from, EVENT_LINK_ROOM); /* about a megabyte a latency */
    while (bytes.size > 0) {
        size_t size = sim->split != 0 && sim->split < bytes.size ? sim->split : bytes.size;
        struct sim_item *item = heap_push(sim, from->arrives_ms, to->lab, SIM_EVENT);
        item->event.kind = EVENT_LINK_BYTES;
        item->event.link = to->link;
        buf_put(&item->bytes, bytes_of(bytes.data, size));
        bytes = bytes_of(bytes.data + size, bytes.size - size);
    }
}

static void conn_dial(struct sim *sim, unsigned lab, const struct effect *effect)
{
    unsigned to = SIM_LABS_MAX;
    must(sscanf(effect->address, "sim:%u", &to) == 1);
    to--;
    uint64_t at = sim->now_ms + latency(sim);
    if (to >= sim->lab_count || !sim->labs[to].live || sim->cut[lab][to]) {
        struct sim_item *item = heap_push(sim, at, lab, SIM_EVENT);
        item->event.kind = EVENT_DIAL_FAILED;
        item->event.lab = effect->lab;
        return;
    }
    must(sim->conn_count < SIM_LINKS_MAX);
    struct sim_conn *conn = &sim->conns[sim->conn_count++];
    *conn = (struct sim_conn){.open = true,
                              .ends = {{.lab = lab, .link = sim->next_link, .arrives_ms = at},
                                       {.lab = to, .link = sim->next_link + 1, .arrives_ms = at}}};
    sim->next_link += 2;
    for (unsigned end = 0; end < 2; end++) {
        struct sim_item *item = heap_push(sim, at, conn->ends[end].lab, SIM_EVENT);
        item->event.kind = EVENT_LINK_UP;
        item->event.link = conn->ends[end].link;
        item->event.dialled = end == 0;
        item->event.lab = effect->lab;
        (void) snprintf(item->address, sizeof item->address, "sim:%u", 1 + (end == 0 ? to : lab));
    }
}

/* ---- a turn ---- */

static void perform(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = &sim->labs[number];
    struct effects effects = sim->effects;
    sim->effects = (struct effects){0};
    for (size_t i = 0; i < effects.count; i++) {
        struct effect *effect = &effects.items[i];
        trace_number(sim, effect->kind);
        unsigned end = 0;
        switch (effect->kind) {
        case EFFECT_SEND:
            trace_add(sim, effect->bytes->data, effect->bytes->size);
            conn_send(sim, number, effect->link, buf_bytes(effect->bytes));
            break;
        case EFFECT_CLOSE: {
            struct sim_conn *conn = conn_of(sim, number, effect->link, &end);
            if (conn != NULL) {
                conn_close(sim, conn);
            }
            break;
        }
        case EFFECT_DIAL:
            conn_dial(sim, number, effect);
            break;
        case EFFECT_REPLY:
            buf_put(&lab->replies, buf_bytes(effect->bytes));
            lab->replied = true;
            break;
        case EFFECT_CLIENT_CLOSE:
            break;
        case EFFECT_LOG:
            if (getenv("SIM_LOG") != NULL) {
                (void) fprintf(stderr, "%8llu %s: %s\n", (unsigned long long) sim->now_ms,
                               lab->name, (const char *) effect->bytes->data);
            }
            break;
        }
    }
    effects_done(&effects);
}

static void turn_settle(struct sim *sim, unsigned number)
{
    struct node *node = sim->labs[number].node;
    node->undo = node->undo || sim->labs[number].full;
    must(node_settle(node, &sim->effects) == ERR_OK);
    perform(sim, number);
    while (node_job(node)) {
        node_job_run(node);
        must(node_job_done(node, &sim->effects) == ERR_OK);
        must(node_settle(node, &sim->effects) == ERR_OK);
        perform(sim, number);
    }
    uint64_t wake_ms = node_wake_ms(node);
    struct sim_lab *lab = &sim->labs[number];
    if (wake_ms < lab->wake_ms || lab->wake_ms <= sim->now_ms) {
        lab->wake_ms = wake_ms > sim->now_ms ? wake_ms : sim->now_ms + 1;
        (void) heap_push(sim, lab->wake_ms, number, SIM_WAKE);
    }
}

static void step(struct sim *sim, unsigned number, struct event *event)
{
    event->now_ms = sim->now_ms + 1000;
    event->wall_s = SIM_WALL_S + (int64_t) (sim->now_ms / 1000);
    roll_bytes(sim, event->dice, sizeof event->dice);
    trace_number(sim, event->kind);
    trace_number(sim, number);
    must(node_step(sim->labs[number].node, event, &sim->effects) == ERR_OK);
}

static void item_run(struct sim *sim, struct sim_item *item)
{
    struct sim_lab *lab = &sim->labs[item->lab];
    sim->now_ms = item->at_ms;
    if (lab->live && lab->epoch == item->epoch) {
        if (item->kind == SIM_WAKE) {
            item->event.kind = EVENT_TICK;
        }
        item->event.bytes = buf_bytes(&item->bytes);
        item->event.address = item->address;
        step(sim, item->lab, &item->event);
        turn_settle(sim, item->lab);
    }
    buf_done(&item->bytes);
}

void sim_run(struct sim *sim, uint64_t ms)
{
    uint64_t until = sim->now_ms + ms;
    while (sim->heap_count > 0 && sim->heap[0].at_ms <= until) {
        struct sim_item item = heap_pop(sim);
        item_run(sim, &item);
    }
    sim->now_ms = until;
}

/* ---- labs ---- */

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof *sim);
    must(sim != NULL);
    for (unsigned i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t z = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9ull;
        sim->dice[i] = z ^ (z >> 27);
    }
    sim->trace = 0xcbf29ce484222325ull;
    sim->latency_min_ms = 5;
    sim->latency_max_ms = 30;
    sim->next_link = 1;
    sim->map_size = 1ull << 32;
    const char *base = getenv("ESSAIM_SIM_DIR");
    (void) snprintf(sim->dir, sizeof sim->dir, "%s/essaim-sim-XXXXXX",
                    base != NULL ? base : "/dev/shm");
    must(mkdtemp(sim->dir) != NULL);
    return sim;
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void) stat;
    (void) flag;
    (void) ftw;
    return remove(path);
}

void sim_free(struct sim *sim)
{
    for (unsigned i = 0; i < sim->lab_count; i++) {
        node_free(sim->labs[i].node);
        store_close(sim->labs[i].store);
        buf_done(&sim->labs[i].record);
        buf_done(&sim->labs[i].replies);
    }
    for (size_t i = 0; i < sim->heap_count; i++) {
        buf_done(&sim->heap[i].bytes);
    }
    (void) nftw(sim->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    effects_done(&sim->effects);
    free(sim->heap);
    free(sim);
}

void sim_start(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = &sim->labs[number];
    must(!lab->live);
    struct store_options options = {.map_size = sim->map_size};
    roll_bytes(sim, options.fresh_index, INSTANCE_SIZE);
    roll_bytes(sim, options.fresh_instance, INSTANCE_SIZE);
    must(store_open(lab->dir, &options, &lab->store) == ERR_OK);
    struct node_config config = {
        .store = lab->store,
        .lab = lab->id,
        .record = buf_bytes(&lab->record),
        .pid = number,
        .quota_entries = sim->quota_entries,
        .now_ms = sim->now_ms + 1000,
        .wall_s = SIM_WALL_S,
    };
    memcpy(config.signing_secret, lab->signing_secret, sizeof config.signing_secret);
    memcpy(config.link_secret, lab->link_secret, sizeof config.link_secret);
    must(node_new(&config, &lab->node) == ERR_OK);
    lab->live = true;
    lab->epoch++;
    lab->wake_ms = 0;
    for (uint32_t client = 1; client <= 2; client++) {
        struct event event = {.kind = EVENT_CLIENT_UP, .client = client, .role = ROLE_ADMIN};
        step(sim, number, &event);
    }
    turn_settle(sim, number);
}

unsigned sim_lab(struct sim *sim, const char *name)
{
    must(sim->lab_count < SIM_LABS_MAX);
    unsigned number = sim->lab_count++;
    struct sim_lab *lab = &sim->labs[number];
    (void) snprintf(lab->name, sizeof lab->name, "%s", name);
    defer(buf_done) struct buf dir = {0};
    buf_printf(&dir, "%s/%u", sim->dir, number);
    must(dir.err == ERR_OK && dir.size < sizeof lab->dir);
    bytes_copy(lab->dir, buf_bytes(&dir));
    uint8_t seed[SIGN_SEED_SIZE];
    uint8_t root_secret[SIGN_SECRET_SIZE];
    struct lab_record record = {
        .generation = 1, .name = bytes_of_str(lab->name), .issued_at = SIM_WALL_S};
    roll_bytes(sim, seed, sizeof seed);
    sign_keypair(seed, lab->id.bytes, root_secret);
    record.lab = lab->id;
    roll_bytes(sim, seed, sizeof seed);
    sign_keypair(seed, record.signing_pk, lab->signing_secret);
    roll_bytes(sim, lab->link_secret, sizeof lab->link_secret);
    must(link_public(lab->link_secret, record.link_pk) == ERR_OK);
    must(lab_record_sign(&record, root_secret, &lab->record) == ERR_OK);
    sim_start(sim, number);
    return number;
}

const struct lab_id *sim_id(struct sim *sim, unsigned lab)
{
    return &sim->labs[lab].id;
}

static void lab_off(struct sim *sim, unsigned number)
{
    struct sim_lab *lab = &sim->labs[number];
    node_free(lab->node);
    store_close(lab->store);
    lab->node = NULL;
    lab->store = NULL;
    lab->live = false;
    for (unsigned i = 0; i < sim->conn_count; i++) {
        struct sim_conn *conn = &sim->conns[i];
        if (conn->open && (conn->ends[0].lab == number || conn->ends[1].lab == number)) {
            conn_close(sim, conn);
        }
    }
}

void sim_crash(struct sim *sim, unsigned number)
{
    must(sim->labs[number].live);
    lab_off(sim, number);
}

void sim_stop(struct sim *sim, unsigned number)
{
    must(node_stop(sim->labs[number].node, &sim->effects) == ERR_OK);
    must(node_settle(sim->labs[number].node, &sim->effects) == ERR_OK);
    perform(sim, number);
    lab_off(sim, number);
}

void sim_map(struct sim *sim, uint64_t size)
{
    sim->map_size = size;
}

void sim_full(struct sim *sim, unsigned lab, bool full)
{
    sim->labs[lab].full = full;
}

void sim_quota(struct sim *sim, uint64_t entries)
{
    sim->quota_entries = entries;
}

static void dir_copy(const char *from, const char *from_tail, const char *to, const char *to_tail)
{
    defer(buf_done) struct buf command = {0};
    buf_printf(&command, "rm -rf '%s%s' && cp -a '%s%s' '%s%s'", to, to_tail, from, from_tail, to,
               to_tail);
    buf_put_u8(&command, 0);
    must(command.err == ERR_OK && system((const char *) command.data) == 0);
}

void sim_backup(struct sim *sim, unsigned lab)
{
    must(!sim->labs[lab].live);
    dir_copy(sim->labs[lab].dir, "", sim->labs[lab].dir, ".copy");
}

void sim_restore(struct sim *sim, unsigned lab)
{
    must(!sim->labs[lab].live);
    dir_copy(sim->labs[lab].dir, ".copy", sim->labs[lab].dir, "");
}

void sim_cut(struct sim *sim, unsigned a, unsigned b, bool cut)
{
    sim->cut[a][b] = sim->cut[b][a] = cut;
}

void sim_reset(struct sim *sim, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < sim->conn_count; i++) {
        struct sim_conn *conn = &sim->conns[i];
        unsigned x = conn->ends[0].lab;
        unsigned y = conn->ends[1].lab;
        if (conn->open && ((x == a && y == b) || (x == b && y == a))) {
            conn_close(sim, conn);
        }
    }
}

void sim_split(struct sim *sim, size_t size)
{
    sim->split = size;
}

void sim_latency(struct sim *sim, uint64_t min_ms, uint64_t max_ms)
{
    sim->latency_min_ms = min_ms;
    sim->latency_max_ms = max_ms;
}

uint64_t sim_now(const struct sim *sim)
{
    return sim->now_ms;
}

uint64_t sim_trace(const struct sim *sim)
{
    return sim->trace;
}

uint64_t sim_wire(struct sim *sim, unsigned a, unsigned b)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < sim->conn_count; i++) {
        unsigned x = sim->conns[i].ends[0].lab;
        unsigned y = sim->conns[i].ends[1].lab;
        if ((x == a && y == b) || (x == b && y == a)) {
            bytes = sim->conns[i].ends[0].bytes + sim->conns[i].ends[1].bytes;
        }
    }
    return bytes;
}

/* ---- requests ---- */

enum err sim_request_by(struct sim *sim, unsigned number, uint32_t client, enum ctl_method method,
                        struct bytes params, struct buf *into)
{
    struct sim_lab *lab = &sim->labs[number];
    defer(buf_done) struct buf request = {0};
    ctl_put_request(&request, 7, method);
    pack_raw(&request, params);
    buf_clear(&lab->replies);
    lab->replied = false;
    struct event event = {
        .kind = EVENT_CLIENT_BYTES, .client = client, .bytes = buf_bytes(&request)};
    step(sim, number, &event);
    turn_settle(sim, number);
    uint64_t until = sim->now_ms + 120000;
    while (!lab->replied && sim->heap_count > 0 && sim->heap[0].at_ms <= until) {
        struct sim_item item = heap_pop(sim);
        item_run(sim, &item);
    }
    must(lab->replied);
    size_t size = 0;
    struct ctl_msg msg;
    must(ctl_frame(buf_bytes(&lab->replies), &size) == ERR_OK);
    must(ctl_decode(bytes_of(lab->replies.data, size), &msg) == ERR_OK);
    enum err err = ERR_OK;
    struct bytes code;
    if (msg.error.type != MSGPACK_OBJECT_NIL && ctl_get_str(&msg.error, "code", &code) == ERR_OK) {
        char text[32] = {0};
        bytes_copy(text, bytes_of(code.data, code.size < 31 ? code.size : 31));
        err = err_from_code(text);
    }
    ctl_done(&msg);
    if (into != NULL) {
        buf_clear(into);
        buf_put(into, bytes_of(lab->replies.data, size));
    }
    return err;
}

enum err sim_request(struct sim *sim, unsigned number, enum ctl_method method, struct bytes params,
                     struct buf *into)
{
    return sim_request_by(sim, number, 1, method, params, into);
}

void sim_peer(struct sim *sim, unsigned lab, unsigned other, bool dial)
{
    char did[DID_SIZE_MAX];
    char address[32];
    did_encode(&sim->labs[other].id, did);
    (void) snprintf(address, sizeof address, "sim:%u", other + 1);
    defer(buf_done) struct buf params = {0};
    pack_map(&params, dial ? 2 : 1);
    if (dial) {
        pack_cstr(&params, "address");
        pack_cstr(&params, address);
    }
    pack_cstr(&params, "lab");
    pack_cstr(&params, did);
    must(sim_request(sim, lab, CTL_peers_add, buf_bytes(&params), NULL) == ERR_OK);
}

void sim_link(struct sim *sim, unsigned a, unsigned b)
{
    sim_peer(sim, b, a, false);
    sim_peer(sim, a, b, true);
}

static void body_put(struct buf *body, size_t size, unsigned salt, unsigned number)
{
    defer(buf_done) struct buf text = {0};
    while (text.size < size) {
        buf_printf(&text, "essaimage %u.%u ", salt, number);
    }
    pack_map(body, 3);
    pack_cstr(body, "body");
    pack_str(body, buf_bytes(&text));
    pack_cstr(body, "summary");
    pack_cstr(body, "Une fiche de simulation.");
    pack_cstr(body, "title");
    pack_cstr(body, "Fiche");
}

static void publish_some(struct sim *sim, unsigned lab, const char *prefix, unsigned first,
                         unsigned count, size_t size, unsigned salt, bool more)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 2);
    pack_cstr(&params, "entries");
    pack_array(&params, count);
    for (unsigned i = first; i < first + count; i++) {
        char slug[64];
        (void) snprintf(slug, sizeof slug, "%s-%u", prefix, i);
        defer(buf_done) struct buf body = {0};
        body_put(&body, size, salt, i);
        pack_array(&params, 3);
        pack_cstr(&params, slug);
        pack_cstr(&params, "innovation");
        pack_bin(&params, buf_bytes(&body));
    }
    pack_cstr(&params, "more");
    pack_bool(&params, more);
    defer(buf_done) struct buf reply = {0};
    must(sim_request(sim, lab, CTL_publish, buf_bytes(&params), &reply) == ERR_OK);
    struct ctl_msg msg;
    struct bytes statuses;
    must(ctl_decode(buf_bytes(&reply), &msg) == ERR_OK);
    if (!more) {
        must(ctl_get_bin(&msg.result, "statuses", &statuses) == ERR_OK);
        for (size_t i = 0; i < statuses.size; i++) {
            must(statuses.data[i] != CTL_REFUSED);
        }
    }
    ctl_done(&msg);
}

void sim_publish(struct sim *sim, unsigned lab, const char *prefix, unsigned count, size_t size,
                 unsigned salt)
{
    unsigned chunk = (unsigned) (500000 / (size + 200));
    unsigned first = 0;
    while (first + chunk < count) {
        publish_some(sim, lab, prefix, first, chunk, size, salt, true);
        first += chunk;
    }
    publish_some(sim, lab, prefix, first, count - first, size, salt, false);
}

void sim_withdraw(struct sim *sim, unsigned lab, const char *slug)
{
    defer(buf_done) struct buf params = {0};
    pack_map(&params, 1);
    pack_cstr(&params, "slugs");
    pack_array(&params, 1);
    pack_cstr(&params, slug);
    must(sim_request(sim, lab, CTL_withdraw, buf_bytes(&params), NULL) == ERR_OK);
}

/* ---- looking ---- */

static enum err find_head(struct sim *sim, struct txn *txn, unsigned of, uint32_t *ret_id,
                          struct held_head *ret_held)
{
    struct catalogue_name name = {.lab = sim->labs[of].id, .audience = "public"};
    enum err err = catalogue_find(txn, &name, ret_id);
    return err != ERR_OK ? err : catalogue_head(txn, *ret_id, ret_held);
}

bool sim_head(struct sim *sim, unsigned lab, unsigned of, struct head *ret_head)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab].store, &txn) == ERR_OK);
    uint32_t id = 0;
    struct held_head held;
    bool found = find_head(sim, txn, of, &id, &held) == ERR_OK;
    if (found) {
        *ret_head = held.head;
    }
    txn_end(txn);
    return found;
}

bool sim_has(struct sim *sim, unsigned lab, unsigned of, const char *slug)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab].store, &txn) == ERR_OK);
    uint32_t id = 0;
    struct held_head held;
    struct bytes entry;
    struct slug_hash slug_hash = hash_slug(bytes_of_str(slug));
    bool found = find_head(sim, txn, of, &id, &held) == ERR_OK &&
                 catalogue_entry(txn, id, &slug_hash, &entry) == ERR_OK;
    txn_end(txn);
    return found;
}

static bool converged(struct sim *sim)
{
    for (unsigned of = 0; of < sim->lab_count; of++) {
        bool any = false;
        struct head first;
        bool first_found = false;
        for (unsigned lab = 0; lab < sim->lab_count; lab++) {
            if (!sim->labs[lab].live) {
                continue;
            }
            struct head head;
            bool found = sim_head(sim, lab, of, &head);
            if (!any) {
                any = true;
                first = head;
                first_found = found;
            } else if (found != first_found ||
                       (found && memcmp(head.hash.bytes, first.hash.bytes, HASH_SIZE) != 0)) {
                return false;
            }
        }
    }
    return true;
}

bool sim_converge(struct sim *sim, uint64_t ms)
{
    uint64_t until = sim->now_ms + ms;
    while (sim->now_ms < until) {
        if (converged(sim)) {
            return true;
        }
        sim_run(sim, 50);
    }
    return converged(sim);
}

bool sim_verify(struct sim *sim, unsigned lab)
{
    struct txn *txn = NULL;
    must(txn_begin_read(sim->labs[lab].store, &txn) == ERR_OK);
    uint8_t at[SCRUB_AT_SIZE] = {0};
    struct scrub_page *page = calloc(1, sizeof *page);
    must(page != NULL);
    bool clean = true;
    while (!page->done && clean) {
        must(scrub_step(txn, at, 1000, page) == ERR_OK);
        clean = page->problems_seen == 0 && (page->catalogue == 0 || page->catalogue_ok);
        if (!clean) {
            (void) fprintf(stderr, "verify: %s\n",
                           page->problem_count > 0 ? page->problems[0].what : "catalogue");
        }
    }
    free(page);
    txn_end(txn);
    return clean;
}

bool sim_linked(struct sim *sim, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < sim->conn_count; i++) {
        const struct sim_conn *conn = &sim->conns[i];
        if (conn->open && ((conn->ends[0].lab == a && conn->ends[1].lab == b) ||
                           (conn->ends[0].lab == b && conn->ends[1].lab == a))) {
            return true;
        }
    }
    return false;
}
