/* The load generator of the benchmarks: queries or updates over UDP, a fixed number outstanding, everything built and
 * signed beforehand. It polls without sleeping, on a CPU of its own, so that no server pays for waking it.
 *
 *   spload query  --server ADDR PORT --pattern n%06u.example.com --count N [--random] [--aaaa] [--do] [--once]
 *                 [--window W] [--sockets S] [--seconds T] [--flood RATE]
 *   spload update --server ADDR PORT --zone ZONE --count N [--window W] [--sockets S] --sig0 KEYS | --tsig NAME BASE64
 *   spload keys   --zone ZONE --count N     prints KEY records for update --sig0 N: zone text, to be imported first
 *
 * Prints one JSON object. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/crypto/crypto.h"
#include "proto/dns/msg.h"
#include "proto/dns/sig0.h"
#include "proto/dns/tsig.h"

#define BATCH         64
#define REPLY_MAX     4096
#define LOST_AFTER_NS UINT64_C(1000000000)
#define GIVE_UP_NS    UINT64_C(120000000000)

struct options {
    const char *mode, *pattern, *zone, *tsig_name, *tsig_secret;
    struct sockaddr_storage server;
    socklen_t server_len;
    unsigned count, window, sockets, sig0_keys, flood, salt;
    double seconds;
    bool random, aaaa, dnssec, once;
};

/* Messages, packed: message i is bytes[start[i] .. start[i + 1]). */
struct messages {
    uint8_t *bytes;
    size_t *start;
    size_t used, cap;
    unsigned count;
};

struct slot {
    uint64_t sent_at; /* 0: free */
    unsigned message;
};

struct lane {
    int fd;
    unsigned slots;
    struct slot *slot;
};

struct outcome {
    uint64_t sent, answered, lost, stray, noerror, nxdomain, refused, servfail, truncated, other;
    uint32_t *latency_us; /* of each answer, up to cap */
    size_t latencies, cap;
};

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "spload: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void messages_add(struct messages *m, const uint8_t *data, size_t len) {
    if (m->cap - m->used < len)
        m->bytes = realloc(m->bytes, m->cap = m->cap * 2 + 65536);
    if ((m->count & 0xffff) == 0)
        m->start = realloc(m->start, (m->count + 0x10001) * sizeof *m->start);
    if (m->bytes == NULL || m->start == NULL)
        fail("out of memory");
    memcpy(m->bytes + m->used, data, len);
    m->start[m->count++] = m->used;
    m->start[m->count] = m->used += len;
}

static void name_or_fail(struct sp_name *ret, const char *text) {
    if (sp_name_from_text(ret, text, strlen(text), NULL) != SP_OK)
        fail("bad name");
}

/* The i-th name of a pattern, which holds one unsigned conversion. */
static void name_of(struct sp_name *ret, const char *pattern, unsigned i) {
    char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, pattern, i);
#pragma GCC diagnostic pop
    name_or_fail(ret, text);
}

static void build_query(struct messages *m, const struct options *o, const struct sp_name *name) {
    uint8_t buf[512];
    struct sp_msgw w;
    sp_msgw_begin(&w, buf, sizeof buf, 0, 0);
    sp_msgw_question(&w, name, o->aaaa ? SP_TYPE_AAAA : SP_TYPE_A, SP_CLASS_IN);
    if (o->dnssec) {
        struct sp_optw opt;
        sp_msgw_opt_begin(&w, &opt, 1232, 0, 0, SP_EDNS_DO);
        sp_msgw_opt_end(&w, &opt);
    }
    messages_add(m, buf, sp_msgw_end(&w));
}

static void build_queries(struct messages *m, const struct options *o) {
    uint64_t state = now_ns();
    for (unsigned i = 0; i < o->count; i++) {
        struct sp_name name;
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        name_of(&name, o->pattern, o->random ? (unsigned)(state >> 33) : i);
        build_query(m, o, &name);
    }
}

/* Device keys are made from their number, so that `keys` and `update` agree. */
static void device_key(struct sp_ed25519 *key, unsigned i) {
    uint8_t seed[SP_ED25519_SEED];
    sp_labelled_hash("spload", &i, sizeof i, seed, sizeof seed);
    sp_ed25519_from_seed(key, seed);
}

static void device_name(struct sp_name *ret, const char *zone, unsigned i) {
    char text[256];
    snprintf(text, sizeof text, "d%u.%s", i, zone);
    name_or_fail(ret, text);
}

static int print_keys(const struct options *o) {
    for (unsigned i = 0; i < o->count; i++) {
        struct sp_ed25519 key;
        char text[64];
        device_key(&key, i);
        size_t len = sp_base64_encode(key.pub, sizeof key.pub, text, sizeof text);
        printf("d%u.%s. 300 IN KEY 512 3 15 %.*s\n", i, o->zone, (int)len, text);
    }
    return 0;
}

static void sign_update(struct sp_wr *wr, const struct options *o, const struct sp_name *owner, unsigned device,
                        const struct sp_tsig_key *tsig) {
    uint8_t scratch[4096], rdata[SP_KEY_RDATA];
    sp_wall now = sp_wall_from_sec((uint64_t)time(NULL));
    sp_err err;
    if (o->sig0_keys > 0) {
        struct sp_ed25519 key;
        device_key(&key, device);
        sp_key_rdata(key.pub, rdata);
        err =
            sp_sig0_sign(wr, owner, &key, sp_key_tag(rdata, sizeof rdata), now, 300, NULL, 0, scratch, sizeof scratch);
    } else {
        struct sp_tsig_state state = {0};
        err = sp_tsig_sign(wr, tsig, now, NULL, false, &state);
    }
    if (err != SP_OK)
        fail("cannot sign an update");
}

/* Update i replaces the address of its owner: device i modulo the keys (TSIG: modulo 1,000). */
static void build_update(struct messages *m, const struct options *o, const struct sp_name *zone,
                         const struct sp_tsig_key *tsig, unsigned i) {
    uint8_t buf[1024], address[4];
    struct sp_msgw w;
    struct sp_name owner;
    unsigned device = i % (o->sig0_keys > 0 ? o->sig0_keys : 1000);
    device_name(&owner, o->zone, device);
    /* Other addresses in every run: an update that changes nothing need not go to the disk. */
    sp_put_u32(address, 0x0a000000u | ((o->salt + i) & 0xffffff));
    sp_msgw_begin(&w, buf, sizeof buf, (uint16_t)i, SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&w, zone, SP_TYPE_SOA, SP_CLASS_IN);
    if (sp_msgw_rr(&w, 2, &owner, SP_TYPE_A, SP_CLASS_ANY, 0, NULL, 0) != SP_OK ||
        sp_msgw_rr(&w, 2, &owner, SP_TYPE_A, SP_CLASS_IN, 60, address, sizeof address) != SP_OK || sp_msgw_end(&w) == 0)
        fail("cannot build an update");
    sign_update(&w.wr, o, &owner, device, tsig);
    messages_add(m, buf, sp_wr_len(&w.wr));
}

static void build_updates(struct messages *m, const struct options *o) {
    struct sp_name zone;
    struct sp_tsig_key tsig = {.hash = SP_SHA256};
    name_or_fail(&zone, o->zone);
    if (o->sig0_keys == 0) {
        size_t len;
        name_or_fail(&tsig.name, o->tsig_name);
        if (sp_base64_decode(o->tsig_secret, strlen(o->tsig_secret), tsig.secret, sizeof tsig.secret, &len) != SP_OK)
            fail("bad TSIG secret");
        tsig.secret_len = (uint16_t)len;
    }
    for (unsigned i = 0; i < o->count; i++)
        build_update(m, o, &zone, &tsig, i);
}

struct run {
    const struct options *o;
    const struct messages *m;
    struct outcome out;
    unsigned next; /* message */
    bool dry;      /* nothing more to send */
    bool own_ids;  /* ids are slots; a signature covers the id of an update, which keeps its own */
    uint64_t now;
};

static void send_batch(struct lane *lane, struct mmsghdr *batch, unsigned n, struct outcome *out) {
    for (unsigned done = 0; done < n;) {
        int sent = sendmmsg(lane->fd, batch + done, n - done, 0);
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR && errno != ECONNREFUSED)
            fail(strerror(errno));
        if (sent > 0)
            done += (unsigned)sent;
    }
    out->sent += n;
}

/* Fills the lane's free slots with the next messages. */
static void fill(struct run *r, struct lane *lane) {
    static uint8_t copies[BATCH][1024];
    struct mmsghdr batch[BATCH];
    struct iovec iov[BATCH];
    unsigned n = 0;
    for (unsigned s = 0; s < lane->slots && n < BATCH && !r->dry; s++) {
        if (lane->slot[s].sent_at != 0)
            continue;
        unsigned i = r->next++;
        if (r->next == r->m->count) {
            r->next = 0;
            r->dry = r->o->once;
        }
        size_t len = r->m->start[i + 1] - r->m->start[i];
        memcpy(copies[n], r->m->bytes + r->m->start[i], len);
        if (r->own_ids)
            sp_put_u16(copies[n], (uint16_t)s);
        lane->slot[s] = (struct slot){r->now, i};
        iov[n] = (struct iovec){copies[n], len};
        batch[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[n], .msg_iovlen = 1}};
        n++;
    }
    if (n > 0)
        send_batch(lane, batch, n, &r->out);
}

static struct slot *slot_of(struct run *r, struct lane *lane, uint16_t id) {
    if (r->own_ids)
        return id < lane->slots ? &lane->slot[id] : NULL;
    for (unsigned s = 0; s < lane->slots; s++)
        if (lane->slot[s].sent_at != 0 && sp_get_u16(r->m->bytes + r->m->start[lane->slot[s].message]) == id)
            return &lane->slot[s];
    return NULL;
}

static void count_reply(struct run *r, struct lane *lane, const uint8_t *reply, size_t len) {
    struct slot *slot = len >= SP_MSG_HEADER ? slot_of(r, lane, sp_get_u16(reply)) : NULL;
    if (slot == NULL || slot->sent_at == 0) {
        r->out.stray++;
        return;
    }
    if (r->out.latencies < r->out.cap)
        r->out.latency_us[r->out.latencies++] = (uint32_t)((now_ns() - slot->sent_at) / 1000);
    slot->sent_at = 0;
    r->out.answered++;
    uint16_t flags = sp_get_u16(reply + 2);
    r->out.truncated += (flags & SP_FLAG_TC) != 0;
    uint64_t *counter[] = {&r->out.noerror,  &r->out.other, &r->out.servfail,
                           &r->out.nxdomain, &r->out.other, &r->out.refused};
    unsigned rcode = SP_RCODE_OF(flags);
    ++*(rcode < 6 ? counter[rcode] : &r->out.other);
}

static void drain(struct run *r, struct lane *lane) {
    static uint8_t buffers[BATCH][REPLY_MAX];
    struct mmsghdr batch[BATCH];
    struct iovec iov[BATCH];
    for (unsigned i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){buffers[i], REPLY_MAX};
        batch[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    int got = recvmmsg(lane->fd, batch, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++)
        count_reply(r, lane, buffers[i], batch[i].msg_len);
}

static void give_up_lost(struct run *r, struct lane *lane) {
    for (unsigned s = 0; s < lane->slots; s++)
        if (lane->slot[s].sent_at != 0 && r->now > lane->slot[s].sent_at + LOST_AFTER_NS) {
            lane->slot[s].sent_at = 0;
            r->out.lost++;
        }
}

static int connected_socket(const struct options *o) {
    int size = 4 << 20;
    int fd = socket(o->server.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const void *)&o->server, o->server_len) != 0)
        fail(strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
}

/* A flood of queries for names that do not exist, at a steady rate, replies unread. */
struct flood {
    int fd;
    struct messages m;
    uint64_t started, sent;
};

static void flood_begin(struct flood *f, const struct options *o) {
    if (o->flood == 0)
        return;
    struct options random = *o;
    random.random = true;
    random.count = 200000;
    random.pattern = "x%u.example.com";
    build_queries(&f->m, &random);
    f->fd = connected_socket(o);
    f->started = now_ns();
}

static void flood_on(struct flood *f, const struct options *o, uint64_t now) {
    uint64_t due = now > f->started ? (now - f->started) / 1000 * o->flood / 1000000u : 0;
    uint8_t junk[512];
    for (unsigned n = 0; f->sent < due && n < 32; n++, f->sent++) {
        size_t i = f->sent % f->m.count;
        sp_put_u16(f->m.bytes + f->m.start[i], (uint16_t)f->sent);
        (void)!send(f->fd, f->m.bytes + f->m.start[i], f->m.start[i + 1] - f->m.start[i], MSG_DONTWAIT);
    }
    for (unsigned n = 0; n < 32 && recv(f->fd, junk, sizeof junk, MSG_DONTWAIT) > 0; n++)
        ;
}

static bool outstanding(const struct lane *lanes, unsigned n) {
    for (unsigned l = 0; l < n; l++)
        for (unsigned s = 0; s < lanes[l].slots; s++)
            if (lanes[l].slot[s].sent_at != 0)
                return true;
    return false;
}

static double run_load(struct run *r, struct lane *lanes) {
    const struct options *o = r->o;
    struct flood flood = {0};
    flood_begin(&flood, o);
    uint64_t begun = now_ns(), end = begun + (uint64_t)(o->seconds * 1e9);
    for (unsigned round = 0;; round++) {
        r->now = now_ns();
        bool over = o->once ? r->dry && !outstanding(lanes, o->sockets) : r->now >= end;
        if (over || r->now > begun + GIVE_UP_NS)
            break;
        for (unsigned l = 0; l < o->sockets; l++) {
            fill(r, &lanes[l]);
            drain(r, &lanes[l]);
            if (round % 1024 == 0)
                give_up_lost(r, &lanes[l]);
        }
        if (o->flood > 0)
            flood_on(&flood, o, r->now);
    }
    return (double)(now_ns() - begun) / 1e9;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static unsigned quantile(const struct outcome *out, double q) {
    return out->latencies > 0 ? out->latency_us[(size_t)((double)(out->latencies - 1) * q)] : 0;
}

static void print_outcome(struct outcome *out, double seconds) {
    qsort(out->latency_us, out->latencies, sizeof *out->latency_us, by_value);
    printf("{\"seconds\": %.3f, \"sent\": %lu, \"answered\": %lu, \"lost\": %lu, \"stray\": %lu, \"rate\": %.0f, ",
           seconds, out->sent, out->answered, out->lost, out->stray, (double)out->answered / seconds);
    printf("\"noerror\": %lu, \"nxdomain\": %lu, \"refused\": %lu, \"servfail\": %lu, \"truncated\": %lu, \"other\": "
           "%lu, ",
           out->noerror, out->nxdomain, out->refused, out->servfail, out->truncated, out->other);
    printf("\"p50_us\": %u, \"p99_us\": %u}\n", quantile(out, 0.5), quantile(out, 0.99));
}

static void parse_server(struct options *o, const char *address, const char *port) {
    struct sockaddr_in *four = (void *)&o->server;
    struct sockaddr_in6 *six = (void *)&o->server;
    uint16_t number = htons((uint16_t)atoi(port));
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = number;
        o->server_len = sizeof *four;
    } else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = number;
        o->server_len = sizeof *six;
    } else {
        fail("bad server address");
    }
}

static void parse(struct options *o, int argc, char **argv) {
    *o = (struct options){.mode = argc > 1 ? argv[1] : "", .count = 1000, .window = 128, .sockets = 8, .seconds = 3};
    const struct {
        const char *name;
        unsigned *number;
        const char **text;
        bool *flag;
    } table[] = {
        {"--pattern", NULL, &o->pattern, NULL}, {"--zone", NULL, &o->zone, NULL},
        {"--count", &o->count, NULL, NULL},     {"--window", &o->window, NULL, NULL},
        {"--sockets", &o->sockets, NULL, NULL}, {"--flood", &o->flood, NULL, NULL},
        {"--sig0", &o->sig0_keys, NULL, NULL},  {"--random", NULL, NULL, &o->random},
        {"--aaaa", NULL, NULL, &o->aaaa},       {"--do", NULL, NULL, &o->dnssec},
        {"--once", NULL, NULL, &o->once},
    };
    for (int i = 2; i < argc; i++) {
        bool known = false;
        for (size_t t = 0; t < sizeof table / sizeof *table && !known; t++) {
            if (strcmp(argv[i], table[t].name) != 0)
                continue;
            known = true;
            if (table[t].flag != NULL)
                *table[t].flag = true;
            else if (++i == argc)
                fail("an option lacks its value");
            else if (table[t].number != NULL)
                *table[t].number = (unsigned)atoi(argv[i]);
            else
                *table[t].text = argv[i];
        }
        if (!known && strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            o->seconds = atof(argv[++i]);
        } else if (!known && strcmp(argv[i], "--server") == 0 && i + 2 < argc) {
            parse_server(o, argv[i + 1], argv[i + 2]);
            i += 2;
        } else if (!known && strcmp(argv[i], "--tsig") == 0 && i + 2 < argc) {
            o->tsig_name = argv[i + 1];
            o->tsig_secret = argv[i + 2];
            i += 2;
        } else if (!known) {
            fail("unknown option");
        }
    }
    if (o->sockets > o->window)
        o->sockets = o->window;
    if (o->count == 0 || o->window == 0)
        fail("counts must not be zero");
}

int main(int argc, char **argv) {
    struct options o;
    parse(&o, argc, argv);
    if (sp_crypto_init() != SP_OK)
        fail("libsodium does not start");
    bool updates = strcmp(o.mode, "update") == 0;
    if (strcmp(o.mode, "keys") == 0 && o.zone != NULL)
        return print_keys(&o);
    if (o.server_len == 0 ||
        (updates ? o.zone == NULL || (o.sig0_keys == 0) == (o.tsig_name == NULL) : o.pattern == NULL))
        fail("usage: see the head of spload.c");
    struct messages m = {0};
    if (updates) {
        o.once = true;
        o.salt = (unsigned)(now_ns() >> 10);
        build_updates(&m, &o);
    } else {
        build_queries(&m, &o);
    }
    struct run r = {.o = &o, .m = &m, .out = {.cap = 4000000}, .own_ids = !updates};
    r.out.latency_us = malloc(r.out.cap * sizeof *r.out.latency_us);
    struct lane *lanes = calloc(o.sockets, sizeof *lanes);
    for (unsigned l = 0; l < o.sockets; l++) {
        lanes[l].fd = connected_socket(&o);
        lanes[l].slots = o.window / o.sockets + (l < o.window % o.sockets);
        lanes[l].slot = calloc(lanes[l].slots, sizeof *lanes[l].slot);
    }
    double seconds = run_load(&r, lanes);
    print_outcome(&r.out, seconds);
    return 0;
}
