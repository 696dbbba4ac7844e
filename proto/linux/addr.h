/* Addresses: between struct sp_addr, sockaddr and text. */
#ifndef SPL_ADDR_H
#define SPL_ADDR_H

#include <sys/socket.h>

#include "proto/base/host.h"

/* Family 0 for anything but AF_INET and AF_INET6. A v4-mapped IPv6 address becomes IPv4. */
void spl_addr_from(struct sp_addr *ret, const struct sockaddr *sa);
/* Returns the length. The storage must hold a sockaddr_in6. */
socklen_t spl_addr_to(const struct sp_addr *a, struct sockaddr_storage *ret);

/* "192.0.2.1", "192.0.2.1:53", "2001:db8::1", "[2001:db8::1]:53", "[fe80::1%eth0]:53"; "*" alone is not taken.
 * Without a port, `port` is used. ERR_FORM, ERR_RANGE (port), ERR_NOENT (no such interface). */
SP_CHECK sp_err spl_addr_parse(struct sp_addr *ret, const char *text, uint16_t port);
#define SPL_ADDR_TEXT 80
/* "192.0.2.1:53", "[2001:db8::1]:53"; without the port when it is 0. Returns buf. */
char *spl_addr_text(const struct sp_addr *a, char buf[SPL_ADDR_TEXT]);
bool spl_addr_is_any(const struct sp_addr *a); /* 0.0.0.0 or :: */

#endif
