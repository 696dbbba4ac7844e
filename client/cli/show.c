#define _GNU_SOURCE
#include "client/cli/show.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *text(json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

static long long number(json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

static const char *yes_no(json_t *o, const char *key) {
    return json_is_true(json_object_get(o, key)) ? "yes" : "no";
}

/* Names are shown as people write them: without the final dot. */
static int name_len(const char *name) {
    size_t len = strlen(name);
    return (int)(len > 1 && name[len - 1] == '.' ? len - 1 : len);
}

/* ---- pieces ---- */

void cli_show_ms(char ret[CLI_SHOW_SHORT], long long us) {
    snprintf(ret, CLI_SHOW_SHORT, us < 10000 ? "%.2f ms" : us < 100000 ? "%.1f ms" : "%.0f ms", (double)us / 1000);
}

void cli_show_bytes(char ret[CLI_SHOW_SHORT], long long bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)bytes;
    size_t i = 0;
    for (; v >= 999.5 && i + 1 < sizeof units / sizeof *units; i++)
        v /= 1000;
    snprintf(ret, CLI_SHOW_SHORT, i > 0 && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[i]);
}

void cli_show_age(char ret[CLI_SHOW_SHORT], long long s) {
    static const struct {
        long long seconds;
        const char *unit;
    } steps[] = {{2 * 86400, "d"}, {2 * 3600, "h"}, {2 * 60, "min"}, {0, "s"}};
    static const long long sizes[] = {86400, 3600, 60, 1};
    size_t i = 0;
    while (s < steps[i].seconds)
        i++;
    snprintf(ret, CLI_SHOW_SHORT, "%lld %s", s / sizes[i], steps[i].unit);
}

/* ---- peers ---- */

#define COLUMNS 6
#define CELL    160

struct row {
    char cell[COLUMNS][CELL];
};

static void describe(struct row *r, json_t *peer) {
    char a[CLI_SHOW_SHORT] = "", b[CLI_SHOW_SHORT], age[CLI_SHOW_SHORT];
    const char *name = text(peer, "name"), *endpoint = text(peer, "endpoint"), *tactic = text(peer, "tactic");
    const char *state = text(peer, "state");
    memset(r, 0, sizeof *r);
    snprintf(r->cell[0], CELL, "%.*s", name_len(name), name);
    snprintf(r->cell[1], CELL, "%s", text(peer, "address"));
    /* "relay 198.51.100.1:53", "direct 203.0.113.7:4164 (punch)" */
    bool tells_more = tactic[0] != 0 && strcmp(tactic, state) != 0;
    snprintf(r->cell[2], CELL, "%s%s%s%s%s%s", state, endpoint[0] != 0 ? " " : "", endpoint, tells_more ? " (" : "",
             tells_more ? tactic : "", tells_more ? ")" : "");
    if (number(peer, "rtt_us") > 0)
        cli_show_ms(a, number(peer, "rtt_us"));
    snprintf(r->cell[3], CELL, "%s", a[0] != 0 ? a : "-");
    cli_show_bytes(a, number(peer, "sealed_bytes"));
    cli_show_bytes(b, number(peer, "opened_bytes"));
    snprintf(r->cell[4], CELL, "%s out, %s in", a, b);
    cli_show_age(age, number(peer, "since_s"));
    if (json_object_get(peer, "since_s") != NULL)
        snprintf(r->cell[5], CELL, "for %s", age);
    else
        snprintf(r->cell[5], CELL, "-");
}

void cli_show_peers(FILE *f, json_t *peers) {
    size_t n = json_array_size(peers), widths[COLUMNS] = {0}, i;
    struct row *rows = calloc(n > 0 ? n : 1, sizeof *rows);
    json_t *peer;
    if (rows == NULL)
        return;
    json_array_foreach(peers, i, peer) {
        describe(&rows[i], peer);
        for (size_t c = 0; c < COLUMNS; c++)
            widths[c] = strlen(rows[i].cell[c]) > widths[c] ? strlen(rows[i].cell[c]) : widths[c];
    }
    json_array_foreach(peers, i, peer) {
        const char *why = text(peer, "why");
        for (size_t c = 0; c + 1 < COLUMNS; c++)
            fprintf(f, "%-*s  ", (int)widths[c], rows[i].cell[c]);
        if (why[0] != 0)
            fprintf(f, "%-*s  %s\n", (int)widths[COLUMNS - 1], rows[i].cell[COLUMNS - 1], why);
        else
            fprintf(f, "%s\n", rows[i].cell[COLUMNS - 1]);
    }
    free(rows);
}

/* ---- session and network ---- */

static void show_list(FILE *f, const char *label, json_t *list) {
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) {
        if (json_is_string(v))
            fprintf(f, "%-11s%s\n", label, json_string_value(v));
    }
}

void cli_show_session(FILE *f, json_t *session) {
    if (session == NULL)
        return;
    char age[CLI_SHOW_SHORT] = "", rtt[CLI_SHOW_SHORT] = "";
    fprintf(f, "session:   %s", text(session, "state"));
    if (text(session, "endpoint")[0] != 0)
        fprintf(f, ", %s over %s", text(session, "endpoint"), text(session, "via"));
    if (json_object_get(session, "since_s") != NULL) {
        cli_show_age(age, number(session, "since_s"));
        fprintf(f, ", for %s", age);
    }
    if (number(session, "rtt_us") > 0) {
        cli_show_ms(rtt, number(session, "rtt_us"));
        fprintf(f, ", %s away", rtt);
    }
    fprintf(f, "%s%s\n", text(session, "last_error")[0] != 0 ? ": " : "", text(session, "last_error"));
}

void cli_show_net(FILE *f, json_t *net) {
    if (net == NULL)
        return;
    fprintf(f, "network:   mapping %s, filtering %s\n", text(net, "mapping"), text(net, "filtering"));
    show_list(f, "seen as:", json_object_get(net, "mapped"));
}

static void show_places(FILE *f, json_t *user) {
    size_t i;
    json_t *o;
    show_list(f, "proxy:", json_object_get(user, "proxies"));
    json_array_foreach(json_object_get(user, "forwards"), i, o) {
        const char *name = text(o, "name");
        fprintf(f, "forward:   %s to %.*s port %lld\n", text(o, "listen"), name_len(name), name, number(o, "port"));
    }
    json_array_foreach(json_object_get(user, "serves"), i, o)
        fprintf(f, "serve:     port %lld by %s\n", number(o, "port"), text(o, "target"));
    if (i == 0)
        fprintf(f, "serve:     nothing\n");
}

void cli_show_userspace(FILE *f, json_t *user) {
    json_t *v, *refusals = json_object_get(user, "refusals");
    const char *key, *separator = "";
    if (user == NULL)
        return;
    show_places(f, user);
    fprintf(f, "userspace: %lld connections of at most %lld\n", number(user, "connections"), number(user, "limit"));
    if (json_object_size(refusals) == 0)
        return;
    fprintf(f, "refused:   ");
    json_object_foreach(refusals, key, v) {
        fprintf(f, "%s%s %lld", separator, key, (long long)json_integer_value(v));
        separator = ", ";
    }
    fputc('\n', f);
}

void cli_show_netcheck(FILE *f, json_t *check) {
    fprintf(f, "UDP:       %s\n", yes_no(check, "udp"));
    fprintf(f, "IPv4:      %s\n", yes_no(check, "ipv4"));
    fprintf(f, "IPv6:      %s\n", yes_no(check, "ipv6"));
    fprintf(f, "mapping:   %s\n", text(check, "mapping"));
    fprintf(f, "filtering: %s\n", text(check, "filtering"));
    fprintf(f, "hairpin:   %s\n", text(check, "hairpin"));
    if (number(check, "mtu") > 0)
        fprintf(f, "MTU:       %lld\n", number(check, "mtu"));
    else
        fprintf(f, "MTU:       unknown\n");
    show_list(f, "seen as:", json_object_get(check, "mapped"));
    size_t i;
    json_t *signpost;
    json_array_foreach(json_object_get(check, "signposts"), i, signpost) {
        char rtt[CLI_SHOW_SHORT];
        cli_show_ms(rtt, number(signpost, "rtt_us"));
        bool answers = json_object_get(signpost, "rtt_us") != NULL;
        fprintf(f, "signpost:  %s %s\n", text(signpost, "address"), answers ? rtt : text(signpost, "error"));
    }
}

void cli_show_pong(FILE *f, json_t *pong) {
    char ms[CLI_SHOW_SHORT];
    const char *name = text(pong, "name"), *endpoint = text(pong, "endpoint");
    cli_show_ms(ms, number(pong, "rtt_us"));
    fprintf(f, "pong from %.*s (%s) via %s%s%s in %s\n", name_len(name), name, text(pong, "address"), text(pong, "via"),
            endpoint[0] != 0 ? " " : "", endpoint, ms);
}
