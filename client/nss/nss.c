/* libnss_signpost: names of the zone for programs of this host, asked of the running agent. nss(5), and the interface
 * of glibc's <nss.h>: results stand in the caller's buffer; ERANGE asks for a larger one. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <stdalign.h>
#include <string.h>
#include <strings.h>

#include "client/nss/ask.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT enum nss_status _nss_signpost_gethostbyname4_r(const char *name, struct gaih_addrtuple **pat, char *buffer,
                                                      size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp);
EXPORT enum nss_status _nss_signpost_gethostbyname3_r(const char *name, int af, struct hostent *host, char *buffer,
                                                      size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp,
                                                      char **canonp);
EXPORT enum nss_status _nss_signpost_gethostbyname2_r(const char *name, int af, struct hostent *host, char *buffer,
                                                      size_t buflen, int *errnop, int *h_errnop);
EXPORT enum nss_status _nss_signpost_gethostbyname_r(const char *name, struct hostent *host, char *buffer,
                                                     size_t buflen, int *errnop, int *h_errnop);
EXPORT enum nss_status _nss_signpost_gethostbyaddr2_r(const void *addr, socklen_t len, int af, struct hostent *host,
                                                      char *buffer, size_t buflen, int *errnop, int *h_errnop,
                                                      int32_t *ttlp);
EXPORT enum nss_status _nss_signpost_gethostbyaddr_r(const void *addr, socklen_t len, int af, struct hostent *host,
                                                     char *buffer, size_t buflen, int *errnop, int *h_errnop);

/* ---- the caller's buffer ---- */

struct room {
    char *at;
    size_t left;
};

/* Aligned for pointers; NULL when it is used up. */
static void *take(struct room *r, size_t size) {
    size_t pad = -(uintptr_t)r->at & (alignof(max_align_t) - 1);
    if (r->left < pad || r->left - pad < size)
        return NULL;
    char *p = r->at + pad;
    r->at = p + size;
    r->left -= pad + size;
    return p;
}

static char *take_text(struct room *r, const char *text) {
    size_t size = strlen(text) + 1;
    char *p = take(r, size);
    return p != NULL ? memcpy(p, text, size) : NULL;
}

static enum nss_status too_small(int *errnop, int *h_errnop) {
    *errnop = ERANGE;
    *h_errnop = NETDB_INTERNAL;
    return NSS_STATUS_TRYAGAIN;
}

/* UNAVAIL lets a line "signpost [!UNAVAIL=return] dns" go on to dns: it is said of names that are not the agent's, and
 * of no others as long as it runs. */
static enum nss_status failed(enum nss_asked asked, int *errnop, int *h_errnop) {
    switch (asked) {
    case NSS_ASKED_NO_NAME:
        *errnop = ENOENT;
        *h_errnop = HOST_NOT_FOUND;
        return NSS_STATUS_NOTFOUND;
    case NSS_ASKED_NO_DATA:
        *errnop = ENOENT;
        *h_errnop = NO_DATA;
        return NSS_STATUS_NOTFOUND;
    case NSS_ASKED_LATER:
        *errnop = EAGAIN;
        *h_errnop = TRY_AGAIN;
        return NSS_STATUS_TRYAGAIN;
    default:
        *errnop = ENOENT;
        *h_errnop = NO_RECOVERY;
        return NSS_STATUS_UNAVAIL;
    }
}

/* ---- names ---- */

/* "localhost" is the files' own. */
static bool is_localhost(const char *name) {
    return strcasecmp(name, "localhost") == 0 || strcasecmp(name, "localhost.") == 0;
}

/* A host of `count` addresses of `size` bytes; false: the buffer is too small. */
static bool fill_host(struct hostent *host, const char *name, int af, const uint8_t (*addrs)[16], unsigned count,
                      struct room *r) {
    size_t size = af == AF_INET ? 4 : 16;
    char **list = take(r, (count + 2) * sizeof *list);
    char *bytes = take(r, count * size);
    char *text = take_text(r, name);
    if (list == NULL || bytes == NULL || text == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        list[i] = bytes + i * size;
        memcpy(list[i], addrs[i], size);
    }
    list[count] = list[count + 1] = NULL;
    *host = (struct hostent){
        .h_name = text, .h_aliases = list + count + 1, .h_addrtype = af, .h_length = (int)size, .h_addr_list = list};
    return true;
}

enum nss_status _nss_signpost_gethostbyname4_r(const char *name, struct gaih_addrtuple **pat, char *buffer,
                                               size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp) {
    struct nss_reply reply;
    struct room r = {buffer, buflen};
    enum nss_asked asked = is_localhost(name) ? NSS_ASKED_NOBODY : nss_ask(name, NSS_TYPE_AAAA, &reply);
    if (asked != NSS_ASKED_FOUND)
        return failed(asked, errnop, h_errnop);
    char *text = take_text(&r, name);
    struct gaih_addrtuple *tuples = take(&r, reply.count * sizeof *tuples);
    if (text == NULL || tuples == NULL)
        return too_small(errnop, h_errnop);
    memset(tuples, 0, reply.count * sizeof *tuples);
    for (unsigned i = 0; i < reply.count; i++) {
        tuples[i].next = i + 1 < reply.count ? &tuples[i + 1] : NULL;
        tuples[i].name = text;
        tuples[i].family = AF_INET6;
        memcpy(tuples[i].addr, reply.addrs[i], 16);
    }
    /* The caller may have a first tuple of its own. */
    if (*pat != NULL)
        **pat = tuples[0];
    else
        *pat = tuples;
    if (ttlp != NULL)
        *ttlp = (int32_t)(reply.ttl & INT32_MAX);
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_signpost_gethostbyname3_r(const char *name, int af, struct hostent *host, char *buffer,
                                               size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp,
                                               char **canonp) {
    struct nss_reply reply;
    struct room r = {buffer, buflen};
    if (af == AF_UNSPEC)
        af = AF_INET6;
    enum nss_asked asked = NSS_ASKED_NOBODY;
    if ((af == AF_INET || af == AF_INET6) && !is_localhost(name))
        asked = nss_ask(name, af == AF_INET ? NSS_TYPE_A : NSS_TYPE_AAAA, &reply);
    if (asked != NSS_ASKED_FOUND)
        return failed(asked, errnop, h_errnop);
    if (!fill_host(host, name, af, (const uint8_t(*)[16])reply.addrs, reply.count, &r))
        return too_small(errnop, h_errnop);
    if (ttlp != NULL)
        *ttlp = (int32_t)(reply.ttl & INT32_MAX);
    if (canonp != NULL)
        *canonp = host->h_name;
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_signpost_gethostbyname2_r(const char *name, int af, struct hostent *host, char *buffer,
                                               size_t buflen, int *errnop, int *h_errnop) {
    return _nss_signpost_gethostbyname3_r(name, af, host, buffer, buflen, errnop, h_errnop, NULL, NULL);
}

/* gethostbyname(3) means IPv4, of which devices have none; the agent says so. */
enum nss_status _nss_signpost_gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t buflen,
                                              int *errnop, int *h_errnop) {
    return _nss_signpost_gethostbyname3_r(name, AF_INET, host, buffer, buflen, errnop, h_errnop, NULL, NULL);
}

/* ---- addresses ---- */

enum nss_status _nss_signpost_gethostbyaddr2_r(const void *addr, socklen_t len, int af, struct hostent *host,
                                               char *buffer, size_t buflen, int *errnop, int *h_errnop, int32_t *ttlp) {
    struct nss_reply reply;
    struct room r = {buffer, buflen};
    char name[NSS_NAME_MAX];
    uint8_t ip[1][16];
    enum nss_asked asked = NSS_ASKED_NOBODY;
    /* Overlay addresses are unique local ones; about others nobody needs to be asked. */
    if (af == AF_INET6 && len == 16 && *(const uint8_t *)addr == 0xfd) {
        memcpy(ip[0], addr, 16);
        nss_wire_reverse(ip[0], name);
        asked = nss_ask(name, NSS_TYPE_PTR, &reply);
    }
    if (asked != NSS_ASKED_FOUND)
        return failed(asked, errnop, h_errnop);
    if (!fill_host(host, reply.name, AF_INET6, (const uint8_t(*)[16])ip, 1, &r))
        return too_small(errnop, h_errnop);
    if (ttlp != NULL)
        *ttlp = (int32_t)(reply.ttl & INT32_MAX);
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_signpost_gethostbyaddr_r(const void *addr, socklen_t len, int af, struct hostent *host,
                                              char *buffer, size_t buflen, int *errnop, int *h_errnop) {
    return _nss_signpost_gethostbyaddr2_r(addr, len, af, host, buffer, buflen, errnop, h_errnop, NULL);
}
