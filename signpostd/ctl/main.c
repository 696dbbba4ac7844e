#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "signpostd/ctl/ctl.h"
#include "signpostd/linux/units.h"

enum { OPT_DATA = 256, OPT_JSON, OPT_TTL, OPT_ADDRESS, OPT_NS, OPT_ZONE, OPT_POLICY, OPT_HELP, OPT_VERSION };

static const struct option options[] = {
    {"data", required_argument, NULL, OPT_DATA},     {"json", no_argument, NULL, OPT_JSON},
    {"ttl", required_argument, NULL, OPT_TTL},       {"address", required_argument, NULL, OPT_ADDRESS},
    {"ns", required_argument, NULL, OPT_NS},         {"zone", required_argument, NULL, OPT_ZONE},
    {"policy", required_argument, NULL, OPT_POLICY}, {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},     {NULL, 0, NULL, 0},
};

#define GO_ON   (-1)
#define TTL_MAX (400 * SP_DAY)

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
    printf("Usage: signpostctl --data DIR [--json] VERB [ARGUMENT]...\n");
    if (all)
        printf("Operates the signpostd that runs on the state directory DIR.\n");
    putchar('\n');
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
        if (all || matches(v, words, n, &used))
            printf("  %s%s%s\n        %s\n", v->name, v->arguments[0] != 0 ? " " : "", v->arguments, v->summary);
    printf("\n  --json gives data as JSON with a \"schema\"; --help explains a verb; --version\n");
}

static int usage(const struct ctl *c, const char *what, const char *which) {
    fprintf(stderr, "signpostctl: %s%s", what, which);
    if (c->verb != NULL)
        fprintf(stderr, "; usage: signpostctl --data DIR %s %s\n", c->verb->name, c->verb->arguments);
    else
        fprintf(stderr, "; try: signpostctl --help\n");
    return CTL_USAGE;
}

static int read_option(struct ctl *c, int o, unsigned *given) {
    sp_duration ttl;
    switch (o) {
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
    if (c->data == NULL && (c->verb->takes & NEEDS_NO_DATA) == 0)
        return usage(c, "--data DIR is missing", "");
    for (unsigned i = 0; i < c->arg_count; i++)
        if (c->args[i][0] == 0)
            return usage(c, "an argument is empty", "");
    return GO_ON;
}

int main(int argc, char **argv) {
    struct ctl c = {.ttl_s = SP_DAY / SP_SEC};
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
    int status = find_verb(&c, words, n);
    if (status == GO_ON)
        status = check(&c, given);
    return status == GO_ON ? c.verb->run(&c) : status;
}
