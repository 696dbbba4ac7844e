#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "signpostd/linux/serve.h"

static const char help[] =
    "Usage: signpostd --data DIR [--zone ZONE]... [--listen ADDR:PORT]... [--operator KEY]...\n"
    "                 [--config FILE]\n"
    "An authoritative DNS server that takes signed updates. Runs in the foreground and stops on SIGTERM.\n"
    "\n"
    "  --data DIR          where its state lives; created if missing\n"
    "  --zone ZONE         serve this zone; it is added if it does not exist\n"
    "  --listen ADDR:PORT  listen here for UDP and TCP (default: 0.0.0.0:53 and [::]:53)\n"
    "  --operator KEY      let the owner of this key operate the server from afar (signpostctl operator-key makes "
    "one)\n"
    "  --config FILE       read a configuration file first, see signpostd.conf(5)\n"
    "  --help, --version\n"
    "\n"
    "Operate it with signpostctl(8).\n";

enum { OPT_DATA = 256, OPT_ZONE, OPT_LISTEN, OPT_CONFIG, OPT_HELP, OPT_VERSION, OPT_RECORD, OPT_OPERATOR };

static const struct option options[] = {
    {"data", required_argument, NULL, OPT_DATA},
    {"zone", required_argument, NULL, OPT_ZONE},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"operator", required_argument, NULL, OPT_OPERATOR},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
#ifdef SPL_RECORD
    {"record", required_argument, NULL, OPT_RECORD},
#endif
    {NULL, 0, NULL, 0},
};

#define GO_ON (-1)

static int usage(const char *what) {
    fprintf(stderr, "signpostd: %s; try: signpostd --help\n", what);
    return 2;
}

static int set_data(struct spl_config *c, const char *dir) {
    free(c->data);
    c->data = strdup(dir);
    return c->data != NULL ? GO_ON : 1;
}

/* The command line over the file: addresses given here replace those of the file. GO_ON, or an exit status. */
static int read_arguments(struct spl_config *c, int argc, char **argv) {
    struct spl_error err;
    bool listens = false;
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        sp_err e = SP_OK;
        if (o == OPT_DATA) {
            if (optarg[0] == 0)
                return usage("--data needs a directory");
            if (set_data(c, optarg) != GO_ON)
                return 1;
        } else if (o == OPT_ZONE) {
            e = spl_config_add_zone(c, optarg, &err);
            e = e == SP_ERR_EXIST ? SP_OK : e;
        } else if (o == OPT_OPERATOR) {
            e = spl_config_add_operator(c, optarg, &err);
            e = e == SP_ERR_EXIST ? SP_OK : e;
        } else if (o == OPT_LISTEN) {
            if (!listens)
                c->listen_count = 0;
            listens = true;
            e = spl_config_add_listen(c, optarg, &err);
        } else if (o == OPT_RECORD) {
            c->record = optarg;
        }
        if (e != SP_OK)
            return usage(err.text);
    }
    if (optind < argc)
        return usage("unexpected argument");
    return c->data != NULL ? GO_ON : usage("--data DIR is missing");
}

/* Looks for --help, --version and --config, and reads the file. GO_ON, or an exit status. */
static int read_file(struct spl_config *c, int argc, char **argv) {
    struct spl_error err;
    const char *path = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case OPT_HELP:
            fputs(help, stdout);
            return 0;
        case OPT_VERSION:
            puts("signpostd " SIGNPOST_VERSION);
            return 0;
        case OPT_CONFIG:
            path = optarg;
            break;
        case '?':
            fputs("Try: signpostd --help\n", stderr);
            return 2;
        }
    }
    if (path == NULL || spl_config_read(c, path, &err) == SP_OK)
        return GO_ON;
    fprintf(stderr, "signpostd: configuration refused: %s\n", err.text);
    return 1;
}

int main(int argc, char **argv) {
    struct spl_config config;
    spl_config_default(&config);
    int status = read_file(&config, argc, argv);
    if (status == GO_ON)
        status = read_arguments(&config, argc, argv);
    if (status == GO_ON)
        status = spl_serve(&config);
    spl_config_free(&config);
    return status;
}
