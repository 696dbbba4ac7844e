#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signpostd/ctl/ctl.h"
#include "signpostd/linux/units.h"

enum {
    OPT_DATA = 256,
    OPT_JSON,
    OPT_TTL,
    OPT_ADDRESS,
    OPT_NS,
    OPT_ZONE,
    OPT_POLICY,
    OPT_HELP,
    OPT_VERSION,
    OPT_AT,
    OPT_KEY,
    OPT_SIGNPOST,
    OPT_REMOTE,
    OPT_PATIENCE
};

static const struct option options[] = {
    {"data", required_argument, NULL, OPT_DATA},
    {"json", no_argument, NULL, OPT_JSON},
    {"ttl", required_argument, NULL, OPT_TTL},
    {"address", required_argument, NULL, OPT_ADDRESS},
    {"ns", required_argument, NULL, OPT_NS},
    {"zone", required_argument, NULL, OPT_ZONE},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {"at", required_argument, NULL, OPT_AT},
    {"key", required_argument, NULL, OPT_KEY},
    {"signpost", required_argument, NULL, OPT_SIGNPOST},
    {"remote", required_argument, NULL, OPT_REMOTE},
    {"patience", required_argument, NULL, OPT_PATIENCE},
    {NULL, 0, NULL, 0},
};

#define GO_ON    (-1)
#define TTL_MAX  (400 * SP_DAY)
#define PATIENCE (10 * SP_SEC)
#define REMOTE   "SIGNPOST_REMOTE" /* in the environment: the file of --remote */

/* Whether a verb's name starts with these words; *ret_used: how many words the name has. */
static bool matches(const struct ctl_verb *v, char **words, unsigned n, unsigned *ret_used) {
    const char *space = strchr(v->name, ' ');
    size_t first = space != NULL ? (size_t)(space - v->name) : strlen(v->name);
    *ret_used = space != NULL ? 2 : 1;
    if (n == 0 || strlen(words[0]) != first || strncmp(words[0], v->name, first) != 0)
        return false;
    return space == NULL || n < 2 || strcmp(words[1], space + 1) == 0;
}

/* Help for everything, for a group ("zone") or for one verb. */
static void help(char **words, unsigned n) {
    unsigned used, shown = 0;
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
        shown += matches(v, words, n, &used);
    bool all = shown == 0;
    printf("Usage: signpostctl --data DIR [--json] VERB [ARGUMENT]...\n"
           "       signpostctl --at ADDR[:PORT] --key FILE --signpost KEY [--json] VERB [ARGUMENT]...\n"
           "       signpostctl --remote FILE [--json] VERB [ARGUMENT]...\n");
    if (all)
        printf(
            "Operates the signpostd that runs on the state directory DIR, or a signpost from afar: at an address, by\n"
            "the operator's key in FILE, known by its own public KEY. A file of --remote says these three as lines\n"
            "\"at = ADDR\", \"key = FILE\", \"signpost = KEY\"; " REMOTE " in the environment names one too.\n"
            "--patience 10s: how long to wait for an answer.\n");
    putchar('\n');
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
        if (all || matches(v, words, n, &used))
            printf("  %s%s%s\n        %s\n", v->name, v->arguments[0] != 0 ? " " : "", v->arguments, v->summary);
    printf("\n  --json gives data as JSON with a \"schema\"; --help explains a verb; --version\n");
}

static int usage(const struct ctl *c, const char *what, const char *which) {
    fprintf(stderr, "signpostctl: %s%s", what, which);
    if (c->verb != NULL)
        fprintf(stderr, "; usage: signpostctl --data DIR|--remote FILE %s %s\n", c->verb->name, c->verb->arguments);
    else
        fprintf(stderr, "; try: signpostctl --help\n");
    return CTL_USAGE;
}

static int say(struct ctl *c, char **to) {
    free(*to);
    *to = strdup(optarg);
    return *to != NULL ? GO_ON : usage(c, "no memory", "");
}

static int read_option(struct ctl *c, int o, unsigned *given) {
    sp_duration ttl;
    switch (o) {
    case OPT_AT:
        return say(c, &c->place.at);
    case OPT_KEY:
        return say(c, &c->place.key);
    case OPT_SIGNPOST:
        return say(c, &c->place.signpost);
    case OPT_REMOTE:
        c->remote = optarg;
        return GO_ON;
    case OPT_PATIENCE:
        if (spl_duration_parse(&c->place.patience, optarg) != SP_OK || c->place.patience < SP_SEC ||
            c->place.patience > SP_HOUR)
            return usage(c, "--patience must be a time such as 10s, between 1s and 1h, not ", optarg);
        return GO_ON;
    case OPT_DATA:
        c->data = optarg;
        return GO_ON;
    case OPT_JSON:
        c->json = true;
        return GO_ON;
    case OPT_TTL:
        *given |= TAKES_TTL;
        if (spl_duration_parse(&ttl, optarg) != SP_OK || ttl < SP_SEC || ttl > TTL_MAX)
            return usage(c, "--ttl must be a time such as 10m, 2h or 7d, at most 400d, not ", optarg);
        c->ttl_s = ttl / SP_SEC;
        return GO_ON;
    case OPT_ADDRESS:
        *given |= TAKES_ADDRESS;
        if (c->address_count == CTL_ADDRESSES)
            return usage(c, "too many addresses", "");
        c->addresses[c->address_count++] = optarg;
        return GO_ON;
    case OPT_NS:
        *given |= TAKES_NS;
        c->ns = optarg;
        return GO_ON;
    case OPT_ZONE:
        *given |= TAKES_ZONE;
        c->zone = optarg;
        return GO_ON;
    case OPT_POLICY:
        *given |= TAKES_POLICY;
        c->policy = optarg;
        return GO_ON;
    default:
        fputs("Try: signpostctl --help\n", stderr);
        return CTL_USAGE;
    }
}

/* Finds the verb and leaves its arguments in c. */
static int find_verb(struct ctl *c, char **words, unsigned n) {
    if (n == 0)
        return usage(c, "a verb is missing", "");
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        unsigned used;
        if (!matches(v, words, n, &used) || n < used)
            continue;
        c->verb = v;
        c->args = words + used;
        c->arg_count = n - used;
        return GO_ON;
    }
    return usage(c, "there is no verb ", n > 1 ? words[1] : words[0]);
}

static int check(const struct ctl *c, unsigned given) {
    if (c->arg_count < c->verb->min)
        return usage(c, "an argument is missing", "");
    if (c->arg_count > c->verb->max)
        return usage(c, "too many arguments: ", c->args[c->verb->max]);
    if ((given & ~c->verb->takes) != 0)
        return usage(c, "an option does not belong to ", c->verb->name);
    for (unsigned i = 0; i < c->arg_count; i++)
        if (c->args[i][0] == 0)
            return usage(c, "an argument is empty", "");
    return GO_ON;
}

/* Which signpost is meant. What the command line says counts before the file's, and both before the environment's. */
static int find_place(struct ctl *c) {
    struct ctl_place *p = &c->place;
    struct spl_error err;
    if ((c->verb->takes & NEEDS_NO_DATA) != 0)
        return GO_ON;
    bool afar = c->remote != NULL || p->at != NULL || p->key != NULL || p->signpost != NULL;
    if (afar && c->data != NULL)
        return usage(c, "is the signpost on this machine (--data) or afar (--remote, --at, --key, --signpost)", "");
    if (c->data != NULL)
        return GO_ON;
    if (c->remote == NULL)
        c->remote = getenv(REMOTE);
    if (c->remote != NULL && c->remote[0] != 0 && ctl_place_read(p, c->remote, &err) != SP_OK) {
        spl_say("%s", err.text);
        return CTL_FAILED;
    }
    if (p->at == NULL && !afar && c->remote == NULL)
        return usage(c, "--data DIR is missing, or --remote FILE for a signpost afar", "");
    if (p->at == NULL || p->key == NULL || p->signpost == NULL)
        return usage(c, "a signpost afar needs all of --at, --key and --signpost, or a file that says them", "");
    return GO_ON;
}

static int run(struct ctl *c, char **words, unsigned n, unsigned given) {
    int status = find_verb(c, words, n);
    if (status == GO_ON)
        status = check(c, given);
    if (status == GO_ON)
        status = find_place(c);
    return status == GO_ON ? c->verb->run(c) : status;
}

int main(int argc, char **argv) {
    struct ctl c = {.ttl_s = SP_DAY / SP_SEC, .place.patience = PATIENCE};
    unsigned given = 0;
    bool wants_help = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == OPT_VERSION) {
            puts("signpostctl " SIGNPOST_VERSION);
            return CTL_OK;
        }
        wants_help = wants_help || o == OPT_HELP;
        int status = o == OPT_HELP ? GO_ON : read_option(&c, o, &given);
        if (status != GO_ON)
            return status;
    }
    char **words = argv + optind;
    unsigned n = (unsigned)(argc - optind);
    if (wants_help) {
        help(words, n);
        return CTL_OK;
    }
    int status = run(&c, words, n, given);
    ctl_afar_close(c.afar);
    ctl_place_free(&c.place);
    return status;
}
