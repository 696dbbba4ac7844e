#define _GNU_SOURCE
#include "signpostd/linux/daemon.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

#include "proto/control/operator.h"
#include "proto/linux/addr.h"
#include "proto/linux/tcp.h"
#include "proto/linux/udp.h"
#include "signpostd/linux/prometheus.h"

static void on_metrics(struct evhttp_request *req, void *ctx) {
    struct spl_daemon *d = ctx;
    if (evhttp_request_get_command(req) != EVHTTP_REQ_GET) {
        evhttp_send_error(req, HTTP_BADMETHOD, NULL);
        return;
    }
    if (d->scrape != NULL) {
        evhttp_send_error(req, HTTP_SERVUNAVAIL, "Busy");
        return;
    }
    uint8_t buf[16];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_METRICS);
    d->scrape = req;
    if (!spl_daemon_ask(d, SPL_OWN_METRICS, buf, sp_wr_len(&wr)) && d->scrape != NULL) {
        d->scrape = NULL;
        evhttp_send_error(req, HTTP_SERVUNAVAIL, "Busy");
    }
}

static void host_counter(struct evbuffer *out, const char *name, uint64_t v) {
    evbuffer_add_printf(out, "# TYPE signpost_%s counter\nsignpost_%s %" PRIu64 "\n", name, name, v);
}

void spl_http_replied(struct spl_daemon *d, const uint8_t *data, size_t len) {
    struct evhttp_request *req = d->scrape;
    d->scrape = NULL;
    if (req == NULL)
        return;
    char *text = NULL;
    size_t text_len = 0;
    if (spl_prometheus_text(data, len, &text, &text_len) != SP_OK) {
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
        return;
    }
    struct evbuffer *out = evhttp_request_get_output_buffer(req);
    const struct spl_udp_counts *u = spl_udp_counts(d->loop);
    const struct spl_tcp_counts *t = spl_tcp_counts(d->loop);
    evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type",
                      "text/plain; version=0.0.4; charset=utf-8");
    evbuffer_add(out, text, text_len);
    /* What the core never sees. */
    host_counter(out, "host_datagrams_received_total", u->received);
    host_counter(out, "host_datagrams_sent_total", u->sent);
    host_counter(out, "host_receive_batches_total", u->batches_in);
    host_counter(out, "host_send_batches_total", u->batches_out);
    host_counter(out, "host_dropped_too_long_total", u->dropped_long);
    host_counter(out, "host_dropped_not_taken_total", u->dropped_core);
    host_counter(out, "host_dropped_send_buffer_full_total", u->dropped_full);
    host_counter(out, "host_dropped_send_error_total", u->dropped_error + u->dropped_size);
    host_counter(out, "host_streams_accepted_total", t->accepted);
    host_counter(out, "host_streams_refused_total", t->refused_full);
    free(text);
    evhttp_send_reply(req, HTTP_OK, "OK", NULL);
}

static void on_other(struct evhttp_request *req, void *ctx) {
    evhttp_send_error(req, HTTP_NOTFOUND, NULL);
}

sp_err spl_http_open(struct spl_daemon *d, const struct sp_addr *at, struct spl_error *err) {
    char text[SPL_ADDR_TEXT], host[SPL_ADDR_TEXT];
    struct sp_addr bare = *at;
    bare.port = 0;
    spl_addr_text(at, text);
    d->http = evhttp_new(spl_loop_base(d->loop));
    if (d->http == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the metrics server");
    evhttp_set_timeout(d->http, 10);
    evhttp_set_max_headers_size(d->http, 8192);
    evhttp_set_max_body_size(d->http, 0);
    evhttp_set_allowed_methods(d->http, EVHTTP_REQ_GET);
    evhttp_set_cb(d->http, "/metrics", on_metrics, d);
    evhttp_set_gencb(d->http, on_other, d);
    if (evhttp_bind_socket_with_handle(d->http, spl_addr_text(&bare, host), at->port) == NULL)
        return spl_error_errno(err, "cannot serve metrics on %s", text);
    spl_say("metrics on http://%s/metrics", text);
    return SP_OK;
}

void spl_http_close(struct spl_daemon *d) {
    if (d->http != NULL)
        evhttp_free(d->http);
    d->http = NULL;
    d->scrape = NULL;
}
