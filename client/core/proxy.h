/* What a program asks of the local proxy: SOCKS5 (RFC 1928) without authentication, or HTTP CONNECT (RFC 9110 9.3.6), told apart by the
 * first byte. Pure: the bytes so far in, what they ask for out; the answers to them. */
#ifndef SP_AGENT_PROXY_H
#define SP_AGENT_PROXY_H

#include "proto/base/bytes.h"

#define SP_PROXY_ASK_MAX    4096 /* a request is no longer */
#define SP_PROXY_ANSWER_MAX 512

/* Why a request is not granted: SOCKS's reply code, HTTP's status, and words for people. */
#define SP_PROXY_RESULT_LIST(X)                                                                                                    \
    X(OK, "ok", 0, 200, "Connection established", "")                                                                              \
    X(FORM, "form", 1, 400, "Bad Request", "this is neither SOCKS5 nor an HTTP CONNECT request")                                   \
    X(METHOD, "method", 7, 405, "Method Not Allowed", "this proxy takes CONNECT alone; with curl: --proxytunnel")                  \
    X(TYPE, "type", 8, 400, "Bad Request", "this kind of address is not known")                                                    \
    X(OUTSIDE, "outside", 2, 403, "Forbidden", "this proxy reaches devices of the zone alone; give a name of the zone")            \
    X(SELF, "self", 2, 403, "Forbidden", "that is this device itself; connect to it without the proxy")                            \
    X(SIGNPOST, "signpost", 2, 403, "Forbidden", "the signpost takes no connections; give the name of a device")                   \
    X(NO_NAME, "no_name", 4, 502, "Bad Gateway", "no device of the zone has this name or address")                                 \
    X(NO_SESSION, "no_session", 3, 503, "Service Unavailable", "no session with the signpost; see: signpost-agent status")         \
    X(NO_PATH, "no_path", 4, 504, "Gateway Timeout", "the device cannot be reached now; see: signpost-agent status")               \
    X(NO_ANSWER, "no_answer", 6, 504, "Gateway Timeout", "the device does not answer at this port")                                \
    X(REFUSED, "refused", 5, 502, "Bad Gateway", "the device refused the connection: nothing listens at this port")                \
    X(FULL, "full", 1, 503, "Service Unavailable", "too many connections at once; try again in a moment")

enum sp_proxy_result {
#define X(name, key, socks, http, phrase, text) SP_PROXY_##name,
    SP_PROXY_RESULT_LIST(X)
#undef X
        SP_PROXY_RESULTS
};
const char *sp_proxy_result_name(enum sp_proxy_result result); /* "no_path" */
const char *sp_proxy_result_text(enum sp_proxy_result result); /* for people */

enum sp_proxy_kind { SP_PROXY_UNKNOWN, SP_PROXY_SOCKS, SP_PROXY_HTTP };

struct sp_proxy_ask {
    enum sp_proxy_kind kind;
    bool greeted;      /* SOCKS: the greeting is whole and offers what we take: "05 00" is its answer */
    const char *host;  /* in the bytes read; NULL: it is an address */
    size_t host_len;
    uint8_t ip[16];
    uint8_t family;    /* of ip, with host NULL */
    uint16_t port;
    size_t used;       /* bytes of the request; what follows is data for the other end */
};

/* The request at the beginning of a connection's bytes so far. ERR_SHORT: there is more to come (kind and greeted are told already);
 * ERR_DENIED: it is refused for *ret_why (for SOCKS methods that we do not take, "05 ff" is the answer to the greeting). */
SP_CHECK sp_err sp_proxy_read(struct sp_proxy_ask *ret, const uint8_t *data, size_t len, enum sp_proxy_result *ret_why);

/* The answer to a request: for SOCKS one with an address of zeros, for HTTP with a body unless it is granted. greeted false: to a
 * SOCKS greeting. Its length; at most SP_PROXY_ANSWER_MAX. */
size_t sp_proxy_answer(enum sp_proxy_kind kind, bool greeted, enum sp_proxy_result result, uint8_t *out, size_t cap);

#endif
