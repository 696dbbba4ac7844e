/* What a test has tcpd do as a client, and how it went: one line of JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "tests/interop/tcpd.h"

struct job {
    struct job *next;
    struct streams *all;
    unsigned id;
    char verb[12];
    struct sp_addr remote;
    uint64_t n, seed, size;
    unsigned parallel;
    /* Of each connection: */
    uint64_t out_len, in_len, reset_out, reset_in;
    bool say, end_after_out, compare, rounds, hold;
    /* How it goes: */
    uint64_t count, started, running, opened, failed, out, in, wrong, wrong_at, rounds_done;
    sp_instant begun;
    double cpu;
    struct sp_tcp_counts before;
    sp_duration *latency;
    struct stream *streams; /* that are held */
    const char *error;
    bool told;
    char reply[64];
};

static const struct role job_role;

/* ---- answers ---- */

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int by_time(const void *a, const void *b) {
    sp_duration x = *(const sp_duration *)a, y = *(const sp_duration *)b;
    return x < y ? -1 : x > y;
}

static void print_latency(struct job *j) {
    uint64_t n = j->rounds_done;
    if (n == 0)
        return;
    qsort(j->latency, n, sizeof *j->latency, by_time);
    printf(", \"latency_us\": {\"least\": %.1f, \"median\": %.1f, \"p99\": %.1f, \"most\": %.1f}",
           (double)j->latency[0] / 1e3, (double)j->latency[n / 2] / 1e3, (double)j->latency[n * 99 / 100] / 1e3,
           (double)j->latency[n - 1] / 1e3);
}

static void answer(struct job *j, sp_instant now) {
    const struct sp_tcp_counts *c = sp_tcp_counts(j->all->tcp), *b = &j->before;
    bool ok = j->failed == 0 && j->wrong == 0;
    printf("{\"id\": %u, \"verb\": \"%s\", \"ok\": %s, \"connections\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"error\": \"%s\", \"out\": %" PRIu64 ", \"in\": %" PRIu64 ", \"mismatches\": %" PRIu64
           ", \"mismatch_at\": %" PRIu64 ", \"seconds\": %.6f, \"cpu\": %.6f, \"retransmitted\": %" PRIu64
           ", \"timeouts\": %" PRIu64 ", \"reply\": \"%s\"",
           j->id, j->verb, ok ? "true" : "false", j->opened, j->failed, j->error != NULL ? j->error : "", j->out, j->in, j->wrong,
           j->wrong_at, (double)(now - j->begun) / 1e9, cpu_seconds() - j->cpu, c->retransmitted - b->retransmitted,
           c->timeouts - b->timeouts, j->reply);
    print_latency(j);
    printf("}\n");
    fflush(stdout);
}

static void job_free(struct job *j) {
    struct job **at = &j->all->jobs;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    free(j->latency);
    free(j);
}

/* ---- connections of a job ---- */

static void fail(struct job *j, const char *why) {
    j->failed++;
    if (j->error == NULL)
        j->error = why;
}

static bool job_connect(struct job *j, sp_instant now) {
    struct sp_tcp_conn *conn;
    sp_err err = j->all->connect(j->all->ctx, now, &j->remote, &conn);
    j->started++;
    if (err != SP_OK) {
        fail(j, sp_err_text(err));
        return false;
    }
    struct stream *st = stream_new(j->all, conn, &job_role);
    st->job = j;
    st->seed = j->seed;
    st->out_len = j->out_len;
    st->in_len = j->in_len;
    st->begun = now;
    st->next = j->streams;
    if (st->next != NULL)
        st->next->prev = st;
    j->streams = st;
    j->running++;
    return true;
}

/* Connects as many as may be at a time; answers when none is left. */
static void job_go_on(struct job *j, sp_instant now) {
    while (j->running < j->parallel && j->started < j->count)
        (void)job_connect(j, now);
    if (j->hold && !j->told && j->opened + j->failed == j->count) {
        j->told = true;
        answer(j, now);
    }
    if (j->running > 0 || (j->hold && j->told))
        return;
    answer(j, now);
    job_free(j);
}

static void say_line(struct stream *st, uint64_t n) {
    char text[48];
    int len = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 "\n", n, st->seed);
    stream_hold(st, text, (size_t)len);
}

static void next_round(struct stream *st, sp_instant now) {
    struct job *j = st->job;
    if (st->round_end > 0)
        j->latency[j->rounds_done++] = now - st->begun;
    if (j->rounds_done == j->n) {
        st->fin = true;
    } else {
        st->begun = now;
        st->round_end += j->size;
        st->out_len = st->round_end;
    }
    stream_pump(st, now);
}

/* What was to be sent is sent, or was to come has come. */
static void check_progress(struct stream *st, sp_instant now) {
    struct job *j = st->job;
    bool sent = st->out == st->out_len && st->held_at == st->held_len, come = st->in >= st->in_len;
    if ((j->reset_out > 0 && st->out >= j->reset_out) || (j->reset_in > 0 && st->in >= j->reset_in)) {
        stream_reset(st, now);
        return;
    }
    if (j->hold || j->rounds || st->fin || !(j->end_after_out ? sent : sent && come))
        return;
    st->fin = true;
    stream_pump(st, now);
}

static void job_opened(struct stream *st, sp_instant now) {
    struct job *j = st->job;
    j->opened++;
    if (j->say)
        say_line(st, j->in_len > 0 ? j->in_len : j->out_len);
    if (j->rounds)
        next_round(st, now);
    stream_pump(st, now);
    if (j->hold)
        job_go_on(j, now);
    check_progress(st, now);
}

/* Its printable beginning. */
static void keep_reply(struct job *j, const uint8_t *data, size_t len) {
    size_t at = strlen(j->reply);
    for (size_t i = 0; i < len && at < sizeof j->reply - 1 && data[i] >= ' ' && data[i] < 0x7f; i++)
        j->reply[at++] = data[i] == '"' || data[i] == '\\' ? '?' : (char)data[i];
}

static void job_data(struct stream *st, sp_instant now, const uint8_t *data, size_t len) {
    struct job *j = st->job;
    if (j->compare) {
        stream_compare(st, data, len);
    } else {
        keep_reply(j, data, len);
        st->in += len;
    }
    sp_tcp_consumed(st->all->tcp, now, st->conn, len);
    if (j->rounds && st->in >= st->round_end)
        next_round(st, now);
    check_progress(st, now);
}

static void job_end(struct stream *st, sp_instant now) {
    st->fin = true;
    stream_pump(st, now);
}

static void job_closed(struct stream *st, sp_instant now, sp_err err) {
    struct job *j = st->job;
    bool whole = st->out == st->out_len && (!j->compare || j->rounds || st->in == st->in_len);
    bool wanted = (j->reset_out > 0 && st->out >= j->reset_out) || (j->reset_in > 0 && st->in >= j->reset_in);
    *(st->prev != NULL ? &st->prev->next : &j->streams) = st->next;
    if (st->next != NULL)
        st->next->prev = st->prev;
    if (err != SP_OK)
        fail(j, sp_err_text(err));
    else if (!st->opened || (!whole && !wanted))
        fail(j, st->opened ? "ended too soon" : "not connected");
    if (st->wrong > 0 && j->wrong == 0)
        j->wrong_at = st->wrong_at;
    j->wrong += st->wrong;
    j->out += st->out;
    j->in += st->in;
    j->running--;
    if (j->hold && j->told && j->running > 0)
        return;
    job_go_on(j, now);
}

static const struct role job_role = {job_opened, job_data, job_end, check_progress, job_closed};

/* ---- reading verbs ---- */

static bool set_word(struct job *j, char *word) {
    char *value = strchr(word, '=');
    if (value == NULL)
        return strcmp(word, "say") == 0 && (j->say = true);
    *value++ = 0;
    uint64_t x = strtoull(value, NULL, 10);
    if (strcmp(word, "n") == 0)
        j->n = x;
    else if (strcmp(word, "seed") == 0)
        j->seed = x;
    else if (strcmp(word, "size") == 0)
        j->size = x;
    else if (strcmp(word, "parallel") == 0)
        j->parallel = (unsigned)x;
    else
        return false;
    return true;
}

static bool is(const struct job *j, const char *verb) {
    return strcmp(j->verb, verb) == 0;
}

/* What the verb means for each connection. */
static bool set_verb(struct job *j) {
    j->count = 1;
    if (is(j, "connect")) {
        j->end_after_out = true;
    } else if (is(j, "send")) {
        j->out_len = j->n;
        j->end_after_out = true;
    } else if (is(j, "receive")) {
        j->in_len = j->n;
        j->say = j->compare = true;
    } else if (is(j, "both") || is(j, "half")) {
        j->out_len = j->in_len = j->n;
        j->compare = true;
        j->end_after_out = is(j, "half");
    } else if (is(j, "short")) {
        j->count = j->n;
        j->out_len = j->in_len = j->size;
        j->compare = true;
    } else if (is(j, "rounds")) {
        j->compare = j->rounds = true;
        j->latency = calloc(j->n + 1, sizeof *j->latency);
    } else if (is(j, "reset")) {
        j->out_len = j->reset_out = j->n;
        j->compare = true;
    } else if (is(j, "cut")) {
        j->in_len = 2 * j->n;
        j->reset_in = j->n;
        j->say = j->compare = true;
    } else if (is(j, "hold")) {
        j->count = j->parallel = (unsigned)j->n;
        j->hold = true;
    } else {
        return false;
    }
    return true;
}

static void release_all(struct streams *s, sp_instant now, unsigned id) {
    struct job *held = s->jobs;
    while (held != NULL && !(held->hold && held->told))
        held = held->next;
    if (held == NULL) {
        printf("{\"id\": %u, \"verb\": \"release\", \"ok\": false, \"error\": \"nothing is held\"}\n", id);
        fflush(stdout);
        return;
    }
    held->id = id;
    snprintf(held->verb, sizeof held->verb, "release");
    held->hold = false;
    held->parallel = 0;
    held->begun = now;
    for (struct stream *st = held->streams; st != NULL; st = st->next) {
        st->fin = true;
        stream_pump(st, now);
    }
    if (held->running == 0)
        job_go_on(held, now);
}

bool streams_verb(struct streams *s, sp_instant now, unsigned id, char *line) {
    char *rest = NULL, *verb = strtok_r(line, " ", &rest), *addr = strtok_r(NULL, " ", &rest), *port = strtok_r(NULL, " ", &rest);
    if (verb != NULL && strcmp(verb, "release") == 0) {
        release_all(s, now, id);
        return true;
    }
    struct job *j = port != NULL ? calloc(1, sizeof *j) : NULL;
    if (j == NULL)
        return false;
    *j = (struct job){.all = s, .id = id, .parallel = 1, .size = 1, .begun = now, .cpu = cpu_seconds(), .before = *sp_tcp_counts(s->tcp)};
    snprintf(j->verb, sizeof j->verb, "%s", verb);
    bool good = spl_addr_parse(&j->remote, addr, 0) == SP_OK;
    j->remote.port = (uint16_t)atoi(port);
    for (char *word; good && (word = strtok_r(NULL, " ", &rest)) != NULL;)
        good = set_word(j, word);
    if (!good || !set_verb(j)) {
        free(j->latency);
        free(j);
        return false;
    }
    j->next = s->jobs;
    s->jobs = j;
    job_go_on(j, now);
    return true;
}
