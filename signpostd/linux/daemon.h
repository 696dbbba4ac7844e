/* What the daemon's files share. */
#ifndef SPL_DAEMON_H
#define SPL_DAEMON_H

#include <event2/http.h>

#include "proto/linux/loop.h"
#include "signpostd/linux/config.h"

/* Requests of the daemon's own to the core. */
enum spl_own { SPL_OWN_ZONE_LIST = 1, SPL_OWN_ZONE_ADD, SPL_OWN_METRICS };

struct spl_daemon {
    const struct spl_config *config;
    struct spl_loop *loop;
    struct sp_server *server;
    struct sp_addr bound[SPL_CONFIG_LISTEN]; /* where it listens */
    unsigned bound_count;
    struct spl_record *record;   /* NULL: none */
    bool ready;                  /* the core has said so */
    bool have[SPL_CONFIG_ZONES]; /* configured zones that are there */
    unsigned adding;             /* the one being added */

    struct evhttp *http;
    struct evhttp_request *scrape; /* the one being answered */
};

/* A request of our own; the reply comes to the loop's replied. False: the core did not take it. */
bool spl_daemon_ask(struct spl_daemon *d, enum spl_own what, const void *data, size_t len);

/* Adds the configured zones that are not there yet. First call when the core is ready. */
void spl_zones_start(struct spl_daemon *d);
void spl_zones_replied(struct spl_daemon *d, enum spl_own what, const uint8_t *data, size_t len);

/* Serves GET /metrics on an address. */
SP_CHECK sp_err spl_http_open(struct spl_daemon *d, const struct sp_addr *at, struct spl_error *err);
void spl_http_replied(struct spl_daemon *d, const uint8_t *data, size_t len);
void spl_http_close(struct spl_daemon *d);

#endif
