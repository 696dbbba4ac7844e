/* A relay's life: operations of two bytes, what and who, against a plain model. Whatever happens, a frame goes only
 * from where a session is, to where the other one is, and only once that one has consented. */
#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/relay/relay.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SESSIONS 6
#define CHANNELS 5

/* One chunk, the same for every run: the heap would take most of the time. */
static _Alignas(SP_CHUNK) uint8_t chunk[SP_CHUNK];
static size_t dirty = sizeof chunk;

static void *grant(void *ctx, size_t bytes) {
    SP_ASSERT(bytes == sizeof chunk);
    memset(chunk, 0, dirty);
    return chunk;
}
static void release(void *ctx, void *p, size_t bytes) {}

/* What must be so: sessions 1.. and, for every pair, the indices of the channel's ends. */
struct model {
    bool there[SESSIONS + 1];
    uint8_t place[SESSIONS + 1];
    uint32_t index[SESSIONS + 1][SESSIONS + 1]; /* of the first one's end of its channel with the second; 0: none */
    bool consent[SESSIONS + 1][SESSIONS + 1];   /* of the first one's end */
};

static struct model m;
static struct sp_relay *relay;
static sp_instant now;

static struct sp_relay_where where(uint8_t place) {
    struct sp_relay_where w = {.addr = {.ip = {10, 0, 0, place}, .port = 1, .family = 4}};
    w.stream = place % 3 == 2 ? place : 0;
    return w;
}

static void forget(unsigned a, unsigned b) {
    m.index[a][b] = m.index[b][a] = 0;
    m.consent[a][b] = m.consent[b][a] = false;
}

static void frame(unsigned a, unsigned b, uint8_t place) {
    struct sp_relay_where from = where(place), to;
    uint32_t index;
    sp_err err = sp_relay_forward(relay, m.index[a][b], &from.addr, from.stream, 1000, now, &to, &index);
    if (m.index[a][b] == 0) {
        SP_ASSERT(err == SP_ERR_NOENT);
    } else if (place != m.place[a]) {
        SP_ASSERT(err == SP_ERR_DENIED);
    } else {
        m.consent[a][b] = true;
        if (!m.consent[b][a]) {
            SP_ASSERT(err == SP_ERR_AGAIN);
            return;
        }
        struct sp_relay_where want = where(m.place[b]);
        SP_ASSERT(err == SP_ERR_BUDGET ||
                  (err == SP_OK && index == m.index[b][a] && memcmp(&to, &want, sizeof to) == 0));
    }
}

static void open_channel(unsigned a, unsigned b) {
    uint32_t ours, theirs;
    sp_err err = sp_relay_open(relay, a, b, now, &ours, &theirs);
    if (!m.there[a] || !m.there[b]) {
        SP_ASSERT(err == SP_ERR_NOENT);
    } else if (a == b) {
        SP_ASSERT(err == SP_ERR_DENIED);
    } else if (m.index[a][b] != 0) {
        SP_ASSERT(err == SP_OK && ours == m.index[a][b] && theirs == m.index[b][a]);
        m.consent[a][b] = true;
    } else if (err == SP_OK) {
        SP_ASSERT(ours >= 0x80000000u && theirs >= 0x80000000u && ours != theirs);
        m.index[a][b] = ours;
        m.index[b][a] = theirs;
        m.consent[a][b] = true;
    } else {
        SP_ASSERT(err == SP_ERR_FULL);
    }
}

static void session(unsigned a, uint8_t place) {
    struct sp_relay_where w = where(place);
    sp_err err = sp_relay_session(relay, a, &w, now);
    SP_ASSERT(err == SP_OK || (err == SP_ERR_FULL && !m.there[a]));
    if (err == SP_OK) {
        m.there[a] = true;
        m.place[a] = place;
    }
}

static void session_end(unsigned a) {
    sp_relay_session_end(relay, a);
    m.there[a] = false;
    for (unsigned b = 1; b <= SESSIONS; b++)
        forget(a, b);
}

/* Time passes beyond every channel's idle time, or not so far. */
static void wait(uint8_t who) {
    now += who % 2 ? 20 * SP_SEC : SP_SEC;
    uint64_t before = sp_relay_counts(relay)->expired;
    sp_relay_expire(relay, now);
    if (sp_relay_counts(relay)->expired == before)
        return;
    now += 60 * SP_SEC;
    sp_relay_expire(relay, now);
    SP_ASSERT(sp_relay_counts(relay)->channels == 0 && sp_relay_deadline(relay) == SP_NEVER);
    for (unsigned a = 1; a <= SESSIONS; a++)
        for (unsigned b = 1; b <= SESSIONS; b++)
            forget(a, b);
}

static void act(uint8_t what, uint8_t who) {
    unsigned a = who % SESSIONS + 1, b = who / SESSIONS % SESSIONS + 1;
    uint8_t place = m.place[a];
    switch (what % 9) {
    case 0:
        session(a, what);
        break;
    case 1:
        session_end(a);
        break;
    case 2:
        open_channel(a, b);
        break;
    case 3:
        frame(a, b, place);
        break;
    case 4:
        frame(a, b, (uint8_t)(place + 1));
        break;
    case 5:
        if (sp_relay_consent(relay, a, m.index[a][b]) == SP_OK)
            m.consent[a][b] = true;
        else
            SP_ASSERT(m.index[a][b] == 0);
        break;
    case 6:
        SP_ASSERT(sp_relay_consent(relay, a, m.index[b][a]) != SP_OK); /* not its end */
        sp_relay_close(relay, a, m.index[b][a]);
        break;
    case 7:
        sp_relay_close(relay, a, m.index[a][b]);
        forget(a, b);
        break;
    default:
        wait(who);
    }
    SP_ASSERT(sp_relay_counts(relay)->channels <= CHANNELS && sp_relay_counts(relay)->sessions <= SESSIONS - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint8_t seed[SP_RNG_SEED] = "relay";
    struct sp_mem mem;
    struct sp_rng rng;
    if (sp_crypto_init() != SP_OK)
        return 0;
    sp_rng_init(&rng, seed);
    sp_mem_init(&mem, (struct sp_grant){NULL, grant, release}, SP_CHUNK);
    struct sp_relay_config config = {.mem = &mem,
                                     .rng = &rng,
                                     .sessions = SESSIONS - 1,
                                     .channels = CHANNELS,
                                     .channels_per_session = 3,
                                     .bytes_per_s = 5000,
                                     .bytes_per_s_total = 9000,
                                     .idle = 60 * SP_SEC};
    memset(&m, 0, sizeof m);
    now = 1000 * SP_SEC;
    (void)sp_relay_is(data, len);
    SP_ASSERT(sp_relay_new(&relay, &config) == SP_OK);
    for (size_t i = 0; i + 1 < len; i += 2)
        act(data[i], data[i + 1]);
    sp_relay_free(relay);
    SP_ASSERT(mem.used == 0);
    dirty = sizeof chunk - mem.fresh_left;
    sp_mem_done(&mem);
    return 0;
}
