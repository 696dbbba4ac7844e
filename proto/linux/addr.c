#define _GNU_SOURCE
#include "proto/linux/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void spl_addr_from(struct sp_addr *ret, const struct sockaddr *sa) {
    memset(ret, 0, sizeof *ret);
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        memcpy(ret->ip, &in->sin_addr, 4);
        ret->port = ntohs(in->sin_port);
        ret->family = 4;
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        ret->port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            memcpy(ret->ip, in6->sin6_addr.s6_addr + 12, 4);
            ret->family = 4;
            return;
        }
        memcpy(ret->ip, &in6->sin6_addr, 16);
        ret->scope = IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? in6->sin6_scope_id : 0;
        ret->family = 6;
    }
}

socklen_t spl_addr_to(const struct sp_addr *a, struct sockaddr_storage *ret) {
    if (a->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        memset(in, 0, sizeof *in);
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    memset(in6, 0, sizeof *in6);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    memcpy(&in6->sin6_addr, a->ip, 16);
    in6->sin6_scope_id = a->scope;
    return sizeof *in6;
}

static sp_err parse_port(const char *text, uint16_t *ret) {
    uint32_t v = 0;
    if (*text == 0)
        return SP_ERR_FORM;
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9')
            return SP_ERR_FORM;
        v = v * 10 + (uint32_t)(*text - '0');
        if (v > UINT16_MAX)
            return SP_ERR_RANGE;
    }
    *ret = (uint16_t)v;
    return SP_OK;
}

static sp_err parse_host(struct sp_addr *ret, char *host) {
    char *zone = strchr(host, '%');
    if (zone != NULL)
        *zone++ = 0;
    if (zone == NULL && inet_pton(AF_INET, host, ret->ip) == 1) {
        ret->family = 4;
        return SP_OK;
    }
    memset(ret->ip, 0, sizeof ret->ip);
    if (inet_pton(AF_INET6, host, ret->ip) != 1)
        return SP_ERR_FORM;
    ret->family = 6;
    if (zone != NULL) {
        ret->scope = if_nametoindex(zone);
        if (ret->scope == 0)
            return SP_ERR_NOENT;
    }
    return SP_OK;
}

sp_err spl_addr_parse(struct sp_addr *ret, const char *text, uint16_t port) {
    struct sp_addr a = {.port = port};
    char host[SPL_ADDR_TEXT];
    size_t len = strlen(text);
    if (len >= sizeof host)
        return SP_ERR_FORM;
    memcpy(host, text, len + 1);
    char *start = host, *colon = strchr(host, ':');
    if (host[0] == '[') {
        char *end = strchr(host, ']');
        if (end == NULL || (end[1] != 0 && end[1] != ':'))
            return SP_ERR_FORM;
        start = host + 1;
        colon = end[1] == ':' ? end + 1 : NULL;
        *end = 0;
        if (strchr(start, ':') == NULL)
            return SP_ERR_FORM;
    } else if (colon != NULL && strchr(colon + 1, ':') != NULL) {
        colon = NULL; /* a bare IPv6 address */
    }
    if (colon != NULL) {
        *colon = 0;
        SP_TRY(parse_port(colon + 1, &a.port));
    }
    SP_TRY(parse_host(&a, start));
    *ret = a;
    return SP_OK;
}

char *spl_addr_text(const struct sp_addr *a, char buf[SPL_ADDR_TEXT]) {
    char ip[INET6_ADDRSTRLEN] = "?";
    inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, ip, sizeof ip);
    char zone[IF_NAMESIZE + 1] = "";
    if (a->family == 6 && a->scope != 0) {
        zone[0] = '%';
        if (if_indextoname(a->scope, zone + 1) == NULL)
            snprintf(zone + 1, sizeof zone - 1, "%u", (unsigned)a->scope);
    }
    if (a->port == 0)
        snprintf(buf, SPL_ADDR_TEXT, "%s%s", ip, zone);
    else
        snprintf(buf, SPL_ADDR_TEXT, a->family == 4 ? "%s%s:%u" : "[%s%s]:%u", ip, zone, a->port);
    return buf;
}

bool spl_addr_is_any(const struct sp_addr *a) {
    static const uint8_t zero[16];
    return memcmp(a->ip, zero, a->family == 4 ? 4 : 16) == 0;
}
