#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/linux/control.h"
#include "proto/linux/file.h"
#include "proto/linux/unix.h"

static sp_err send_all(int fd, const uint8_t *data, size_t len, struct spl_error *err) {
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE)
            return spl_error_set(err, SP_ERR_DENIED,
                                 "the request was not taken: only root and the daemon's own user may ask, with "
                                 "requests of bounded size");
        if (n < 0)
            return spl_error_errno(err, "cannot send the request");
        data += n;
        len -= (size_t)n;
    }
    return SP_OK;
}

static sp_err receive_all(int fd, uint8_t *data, size_t len, struct spl_error *err) {
    while (len > 0) {
        ssize_t n = recv(fd, data, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET)
            return spl_error_errno(err, "cannot read the reply");
        if (n <= 0)
            return spl_error_set(
                err, SP_ERR_DENIED,
                "the connection ended without a reply: the daemon stopped, or does not trust this user");
        data += n;
        len -= (size_t)n;
    }
    return SP_OK;
}

static sp_err exchange(int fd, const uint8_t *data, size_t len, size_t reply_max, uint8_t **ret, size_t *ret_len,
                       struct spl_error *err) {
    uint8_t head[4];
    sp_put_u32(head, (uint32_t)len);
    SP_TRY(send_all(fd, head, sizeof head, err));
    SP_TRY(send_all(fd, data, len, err));
    SP_TRY(receive_all(fd, head, sizeof head, err));
    size_t n = sp_get_u32(head);
    if (n > reply_max)
        return spl_error_set(err, SP_ERR_FORM, "the reply is too long (%zu bytes)", n);
    uint8_t *reply = malloc(n + 1);
    if (reply == NULL)
        return spl_error_set(err, SP_ERR_FULL, "no memory for the reply");
    sp_err e = receive_all(fd, reply, n, err);
    if (e != SP_OK) {
        spl_file_free(reply, n);
        return e;
    }
    reply[n] = 0;
    *ret = reply;
    *ret_len = n;
    return SP_OK;
}

sp_err spl_control_call(const char *dir, const char *name, const uint8_t *data, size_t len, size_t reply_max,
                        uint8_t **ret, size_t *ret_len, struct spl_error *err) {
    int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return spl_error_errno(err, "cannot open the directory %s", dir);
    int fd = -1;
    sp_err e = spl_unix_connect(dirfd, name, &fd, err);
    close(dirfd);
    if (e != SP_OK)
        return e;
    e = exchange(fd, data, len, reply_max, ret, ret_len, err);
    close(fd);
    return e;
}
