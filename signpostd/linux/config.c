#define _GNU_SOURCE
#include "signpostd/linux/config.h"

#include <confuse.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/operator.h"
#include "proto/dns/name.h"
#include "proto/linux/addr.h"
#include "proto/linux/file.h"
#include "signpostd/linux/units.h"

enum kind { NUMBER, SIZE, DURATION, TEXT, NSID, METRICS, LISTEN, ZONES, OPERATORS };

/* One row an option: where it stands in the file, what values it takes, where its value goes. */
struct row {
    const char *section; /* NULL: top level */
    const char *name;
    enum kind kind;
    uint64_t min, max;
    size_t offset, width; /* of the number in struct spl_config */
};

#define AT(member) offsetof(struct spl_config, member), sizeof(((struct spl_config *)0)->member)
#define LIMIT(name, member, min, max)                                                                                  \
    { "limits", name, NUMBER, min, max, AT(server.limits.member) }
#define BUDGET(name, member)                                                                                           \
    { "budgets", name, NUMBER, 1, 10000000, AT(server.budgets.member) }
#define TIMEOUT(name, member)                                                                                          \
    { "tcp", name, DURATION, SP_SEC / 10, SP_DAY, AT(server.member) }

static const struct row rows[] = {
    {NULL, "data", TEXT, 1, 4000, AT(data)},
    {NULL, "user", TEXT, 1, 64, AT(user)},
    {NULL, "group", TEXT, 1, 64, AT(group)},
    {NULL, "listen", LISTEN, 0, 0, 0, 0},
    {NULL, "zones", ZONES, 0, 0, 0, 0},
    {NULL, "operators", OPERATORS, 0, 0, 0, 0},
    {NULL, "metrics", METRICS, 0, 0, 0, 0},
    {NULL, "nsid", NSID, 1, 64, 0, 0},
    {NULL, "log-size", SIZE, 1 << 20, UINT64_C(1) << 40, AT(log_bytes)},
    {NULL, "udp-size", NUMBER, 512, 4096, AT(server.udp_size_max)},
    LIMIT("zones", zones, 1, 4096),
    LIMIT("names", names, 16, 100000000),
    LIMIT("devices", devices, 1, 10000000),
    LIMIT("leases", leases, 1, 10000000),
    LIMIT("keys", keys, 1, 10000000),
    LIMIT("invites", invites, 1, 10000000),
    LIMIT("streams", streams, 1, 100000),
    LIMIT("streams-per-prefix", streams_per_prefix, 1, 100000),
    LIMIT("updates-in-flight", updates_in_flight, 1, 100000),
    LIMIT("sessions", sessions, 1, 10000000),
    LIMIT("channels", channels, 1, 10000000),
    LIMIT("channels-per-session", channels_per_session, 1, 65535),
    {"limits", "operator-request", SIZE, 1024, SP_OP_REQUEST_MAX, AT(server.limits.operator_request)},
    {"limits", "memory", SIZE, 16 << 20, UINT64_C(1) << 40, AT(server.limits.memory)},
    BUDGET("verify-per-second", verify_per_s),
    BUDGET("verify-tcp-per-second", verify_tcp_per_s),
    BUDGET("verify-stranger-per-second", verify_stranger_per_s),
    BUDGET("verify-prefix-per-second", verify_prefix_per_s),
    BUDGET("verify-key-per-second", verify_key_per_s),
    BUDGET("sign-per-batch", sign_per_batch),
    BUDGET("stun-per-second", stun_per_s),
    BUDGET("stun-prefix-per-second", stun_prefix_per_s),
    BUDGET("handshakes-per-second", initiations_per_s),
    BUDGET("handshakes-max-per-second", initiations_max_per_s),
    BUDGET("session-requests-per-second", session_requests_per_s),
    BUDGET("connects-per-second", connects_per_s),
    {"budgets", "relay-session-bytes-per-second", SIZE, 0, UINT64_C(1) << 40,
     AT(server.budgets.relay_session_bytes_per_s)},
    {"budgets", "relay-bytes-per-second", SIZE, 0, UINT64_C(1) << 40, AT(server.budgets.relay_bytes_per_s)},
    TIMEOUT("idle", tcp_idle),
    TIMEOUT("first", tcp_first),
    TIMEOUT("stall", tcp_stall),
};
#define ROWS (sizeof rows / sizeof rows[0])

static const struct row *row_of(const char *section, const char *name) {
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].name, name) == 0 &&
            (section == NULL || rows[i].section == NULL ? section == rows[i].section
                                                        : strcmp(section, rows[i].section) == 0))
            return &rows[i];
    return NULL;
}

void spl_config_default(struct spl_config *ret) {
    *ret = (struct spl_config){.log_bytes = (uint64_t)256 << 20};
    sp_server_config_default(&ret->server);
}

void spl_config_free(struct spl_config *c) {
    free(c->data);
    free(c->user);
    free(c->group);
    for (unsigned i = 0; i < c->zone_count; i++)
        free(c->zones[i]);
    *c = (struct spl_config){0};
}

/* ---- single values ---- */

static sp_err parse_number(const struct row *row, const char *text, uint64_t *ret) {
    uint64_t v;
    if (row->kind == SIZE)
        SP_TRY(spl_size_parse(&v, text));
    else if (row->kind == DURATION)
        SP_TRY(spl_duration_parse(&v, text));
    else
        SP_TRY(spl_number_parse(&v, text));
    if (v < row->min || v > row->max)
        return SP_ERR_RANGE;
    *ret = v;
    return SP_OK;
}

static sp_err parse_zone(struct sp_name *ret, const char *text) {
    return text[0] == 0 ? SP_ERR_FORM : sp_name_from_text(ret, text, strlen(text), NULL);
}

static sp_err parse_operator(uint8_t ret[SP_ED25519_PUB], const char *text) {
    size_t len = 0;
    uint8_t image[SP_X25519];
    SP_TRY(sp_base64_decode(text, strlen(text), ret, SP_ED25519_PUB, &len));
    return len == SP_ED25519_PUB ? sp_ed25519_to_x25519(ret, image) : SP_ERR_FORM;
}

static sp_err parse_metrics(struct sp_addr *ret, const char *text) {
    SP_TRY(spl_addr_parse(ret, text, 9153));
    return ret->port == 0 ? SP_ERR_RANGE : SP_OK;
}

/* What a value of each kind looks like, for the error. */
static const char *shape(enum kind kind) {
    switch (kind) {
    case NUMBER:
        return "a number";
    case SIZE:
        return "a size such as 512K, 256M or 2G";
    case DURATION:
        return "a time such as 500ms, 10s, 5m, 2h or 7d";
    case METRICS:
        return "an address and port such as 127.0.0.1:9153";
    case LISTEN:
        return "an address such as 192.0.2.1:53, 0.0.0.0 or [2001:db8::1]:53";
    case ZONES:
        return "a zone's name such as me.example.net";
    case OPERATORS:
        return "an operator's public key, as `signpostctl operator-key FILE` prints it";
    case TEXT:
    case NSID:
        break;
    }
    return "text of a fitting length";
}

static sp_err check(const struct row *row, const char *text) {
    uint64_t v;
    struct sp_addr a;
    struct sp_name n;
    uint8_t key[SP_ED25519_PUB];
    switch (row->kind) {
    case OPERATORS:
        return parse_operator(key, text) == SP_OK ? SP_OK : SP_ERR_FORM;
    case NUMBER:
    case SIZE:
    case DURATION:
        return parse_number(row, text, &v);
    case METRICS:
        return parse_metrics(&a, text);
    case LISTEN:
        return spl_addr_parse(&a, text, 53);
    case ZONES:
        return parse_zone(&n, text);
    case TEXT:
    case NSID:
        break;
    }
    return strlen(text) < row->min || strlen(text) > row->max ? SP_ERR_RANGE : SP_OK;
}

sp_err spl_config_add_listen(struct spl_config *c, const char *text, struct spl_error *err) {
    struct sp_addr a;
    sp_err e = spl_addr_parse(&a, text, 53);
    if (e == SP_ERR_NOENT)
        return spl_error_set(err, e, "cannot listen on '%s': there is no such interface", text);
    if (e != SP_OK)
        return spl_error_set(err, e, "'%s' is not %s", text, shape(LISTEN));
    for (unsigned i = 0; i < c->listen_count; i++)
        if (memcmp(&c->listen[i], &a, sizeof a) == 0)
            return spl_error_set(err, SP_ERR_EXIST, "the address '%s' is listed twice", text);
    if (c->listen_count == SPL_CONFIG_LISTEN)
        return spl_error_set(err, SP_ERR_FULL, "too many addresses to listen on (at most %d)", SPL_CONFIG_LISTEN);
    c->listen[c->listen_count++] = a;
    return SP_OK;
}

sp_err spl_config_add_zone(struct spl_config *c, const char *text, struct spl_error *err) {
    struct sp_name n;
    sp_err e = parse_zone(&n, text);
    if (e != SP_OK)
        return spl_error_set(err, e, "'%s' is not %s", text, shape(ZONES));
    for (unsigned i = 0; i < c->zone_count; i++) {
        struct sp_name other;
        if (parse_zone(&other, c->zones[i]) == SP_OK && sp_name_equal(&n, &other))
            return spl_error_set(err, SP_ERR_EXIST, "the zone '%s' is listed twice", text);
    }
    if (c->zone_count == SPL_CONFIG_ZONES)
        return spl_error_set(err, SP_ERR_FULL, "too many zones (at most %d here; add more with signpostctl zone add)",
                             SPL_CONFIG_ZONES);
    char *copy = strdup(text);
    if (copy == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the configuration");
    c->zones[c->zone_count++] = copy;
    return SP_OK;
}

sp_err spl_config_add_operator(struct spl_config *c, const char *text, struct spl_error *err) {
    struct sp_server_config *s = &c->server;
    uint8_t key[SP_ED25519_PUB];
    if (parse_operator(key, text) != SP_OK)
        return spl_error_set(err, SP_ERR_FORM, "'%s' is not %s", text, shape(OPERATORS));
    for (unsigned i = 0; i < s->operator_count; i++)
        if (memcmp(s->operators[i], key, sizeof key) == 0)
            return spl_error_set(err, SP_ERR_EXIST, "the operator '%s' is listed twice", text);
    if (s->operator_count == SP_OPERATORS)
        return spl_error_set(err, SP_ERR_FULL, "too many operators (at most %d)", SP_OPERATORS);
    memcpy(s->operators[s->operator_count++], key, sizeof key);
    return SP_OK;
}

/* ---- libconfuse ---- */

/* libconfuse hands no pointer of ours to its error function. One reading at a time in a thread. */
static _Thread_local struct {
    struct spl_error *err;
    const char *path;
    bool said;
} reading;

__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *format, va_list ap) {
    if (reading.said)
        return; /* the first one is the cause */
    reading.said = true;
    char text[400];
    vsnprintf(text, sizeof text, format, ap);
    (void)spl_error_set(reading.err, SP_ERR_FORM, "%s:%d: %s", reading.path, cfg->line, text);
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt) {
    const char *section = cfg->title == NULL && strcmp(cfg->name, "root") == 0 ? NULL : cfg->name;
    const struct row *row = row_of(section, opt->name);
    unsigned n = cfg_opt_size(opt);
    const char *text = n > 0 ? cfg_opt_getnstr(opt, n - 1) : NULL;
    if (row == NULL || text == NULL)
        return 0;
    sp_err e = check(row, text);
    if (e == SP_OK)
        return 0;
    if (e == SP_ERR_RANGE && (row->kind == NUMBER || row->kind == SIZE))
        cfg_error(cfg, "%s: '%s' is out of range (%llu to %llu)", opt->name, text, (unsigned long long)row->min,
                  (unsigned long long)row->max);
    else if (e == SP_ERR_RANGE && row->kind == DURATION)
        cfg_error(cfg, "%s: '%s' is out of range (100ms to 1d)", opt->name, text);
    else
        cfg_error(cfg, "%s: '%s' is not %s", opt->name, text, shape(row->kind));
    return -1;
}

static void put_number(void *at, size_t width, uint64_t v) {
    if (width == 2)
        *(uint16_t *)at = (uint16_t)v;
    else if (width == 4)
        *(uint32_t *)at = (uint32_t)v;
    else
        *(uint64_t *)at = v;
}

static sp_err apply_text(struct spl_config *c, const struct row *row, const char *text, struct spl_error *err) {
    char **at = (char **)(void *)((uint8_t *)c + row->offset);
    char *copy = strdup(text);
    if (copy == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the configuration");
    free(*at);
    *at = copy;
    return SP_OK;
}

/* The value has been checked; what may still fail concerns it and others together. */
static sp_err apply(struct spl_config *c, const struct row *row, const char *text, struct spl_error *err) {
    uint64_t v;
    switch (row->kind) {
    case NUMBER:
    case SIZE:
    case DURATION:
        SP_TRY(parse_number(row, text, &v));
        put_number((uint8_t *)c + row->offset, row->width, v);
        return SP_OK;
    case TEXT:
        return apply_text(c, row, text, err);
    case NSID:
        c->server.nsid_len = (uint8_t)strlen(text);
        memcpy(c->server.nsid, text, c->server.nsid_len);
        return SP_OK;
    case METRICS:
        return parse_metrics(&c->metrics, text);
    case LISTEN:
        return spl_config_add_listen(c, text, err);
    case ZONES:
        return spl_config_add_zone(c, text, err);
    case OPERATORS:
        return spl_config_add_operator(c, text, err);
    }
    return SP_ERR_FORM;
}

static sp_err apply_all(struct spl_config *c, cfg_t *cfg, struct spl_error *err) {
    for (size_t i = 0; i < ROWS; i++) {
        cfg_t *from = rows[i].section != NULL ? cfg_getsec(cfg, rows[i].section) : cfg;
        for (unsigned k = 0; from != NULL && k < cfg_size(from, rows[i].name); k++) {
            const char *text = cfg_getnstr(from, rows[i].name, k);
            if (text != NULL)
                SP_TRY(apply(c, &rows[i], text, err));
        }
    }
    return SP_OK;
}

/* Fills opts with the options of a section (NULL: the top level); returns how many. */
static size_t list(cfg_opt_t *opts, const char *section) {
    size_t n = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].section != section &&
            (section == NULL || rows[i].section == NULL || strcmp(rows[i].section, section) != 0))
            continue;
        if (rows[i].kind == LISTEN || rows[i].kind == ZONES || rows[i].kind == OPERATORS)
            opts[n++] = (cfg_opt_t)CFG_STR_LIST(rows[i].name, NULL, CFGF_NODEFAULT);
        else
            opts[n++] = (cfg_opt_t)CFG_STR(rows[i].name, NULL, CFGF_NODEFAULT);
    }
    return n;
}

static cfg_t *make_parser(void) {
    cfg_opt_t limits[ROWS + 1] = {0}, budgets[ROWS + 1] = {0}, tcp[ROWS + 1] = {0}, top[ROWS + 4] = {0};
    limits[list(limits, "limits")] = (cfg_opt_t)CFG_END();
    budgets[list(budgets, "budgets")] = (cfg_opt_t)CFG_END();
    tcp[list(tcp, "tcp")] = (cfg_opt_t)CFG_END();
    size_t n = list(top, NULL);
    top[n++] = (cfg_opt_t)CFG_SEC("limits", limits, CFGF_NONE);
    top[n++] = (cfg_opt_t)CFG_SEC("budgets", budgets, CFGF_NONE);
    top[n++] = (cfg_opt_t)CFG_SEC("tcp", tcp, CFGF_NONE);
    top[n] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = cfg_init(top, CFGF_NONE);
    if (cfg == NULL)
        return NULL;
    cfg_set_error_function(cfg, on_error);
    for (size_t i = 0; i < ROWS; i++) {
        char path[80];
        snprintf(path, sizeof path, "%s%s%s", rows[i].section != NULL ? rows[i].section : "",
                 rows[i].section != NULL ? "|" : "", rows[i].name);
        cfg_set_validate_func(cfg, path, on_value);
    }
    return cfg;
}

/* Where a comment or a quoted string that starts at p ends; p itself when none does. */
static const char *skip_quiet(const char *p) {
    if (p[0] == '#' || (p[0] == '/' && p[1] == '/'))
        return p + strcspn(p, "\n");
    if (p[0] == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        return end != NULL ? end + 2 : p + strlen(p);
    }
    if (p[0] != '"' && p[0] != '\'')
        return p;
    char quote = *p++;
    while (*p != 0 && *p != quote)
        p += p[0] == '\\' && p[1] != 0 ? 2 : 1;
    return *p != 0 ? p + 1 : p;
}

/* The line of a '{' that is never closed, or 0: libconfuse lets a section end with the file. */
static unsigned unclosed(const char *text) {
    unsigned line = 1, opened[8] = {0}, depth = 0;
    for (const char *p = text; *p != 0;) {
        const char *end = skip_quiet(p);
        end += end == p;
        if (end == p + 1 && *p == '{' && depth < 8)
            opened[depth++] = line;
        else if (end == p + 1 && *p == '}' && depth > 0)
            depth--;
        for (; p < end; p++)
            line += *p == '\n';
    }
    return depth > 0 ? opened[depth - 1] : 0;
}

static sp_err parse(struct spl_config *c, const char *path, const char *text, struct spl_error *err) {
    cfg_t *cfg = make_parser();
    if (cfg == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory to read %s", path);
    reading.err = err;
    reading.path = path;
    reading.said = false;
    sp_err e = SP_OK;
    if (cfg_parse_buf(cfg, text) != CFG_SUCCESS) {
        e = SP_ERR_FORM;
        if (!reading.said)
            (void)spl_error_set(err, e, "%s: cannot be parsed", path);
    } else if (unclosed(text) > 0) {
        e = spl_error_set(err, SP_ERR_FORM, "%s:%u: '{' without '}'", path, unclosed(text));
    }
    if (e == SP_OK) {
        struct spl_error why = {0};
        e = apply_all(c, cfg, &why);
        if (e != SP_OK)
            (void)spl_error_set(err, e, "%s: %s", path, why.text);
    }
    reading.err = NULL;
    cfg_free(cfg);
    return e;
}

sp_err spl_config_read(struct spl_config *c, const char *path, struct spl_error *err) {
    uint8_t *text;
    size_t len;
    SP_TRY(spl_file_read(AT_FDCWD, path, SPL_CONFIG_FILE_MAX, &text, &len, err));
    sp_err e;
    if (memchr(text, 0, len) != NULL)
        e = spl_error_set(err, SP_ERR_FORM, "%s: holds a zero byte; it is not a text file", path);
    else
        e = parse(c, path, (const char *)text, err);
    spl_file_free(text, len);
    return e;
}
