#define _GNU_SOURCE
#include "proto/linux/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/linux/room.h"

/* Requests up to this many blocks run in the loop: a copy from or to the page cache is quicker than a change of
 * threads. A flush waits for the disk and never runs there. */
#define INLINE_BLOCKS 32
#define QUEUE         256 /* requests at once, all together; the cores keep far fewer */

struct done {
    uint64_t id;
    sp_err err;
};

/* A bounded queue; the mutex guards what the helper thread shares. */
struct spl_disk {
    struct spl_loop *loop;
    int fd;
    int bell; /* eventfd: the helper has finished something */
    struct event ev;
    pthread_t helper;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool quit;
    struct sp_blk_req todo[QUEUE];
    unsigned todo_at, todo_len;
    struct done finished[QUEUE]; /* by the helper */
    unsigned finished_len;
    struct done ready[QUEUE]; /* the loop's own: not yet told to the core */
    unsigned ready_len;
    unsigned under_way;
};

static sp_err code_of(int e) {
    return e == ENOSPC || e == EDQUOT || e == EFBIG ? SP_ERR_NOSPC : SP_ERR_IO;
}

static sp_err transfer(int fd, const struct sp_blk_req *req) {
    size_t len = (size_t)req->count * SP_BLK_SIZE, done = 0;
    while (done < len) {
        off_t at = (off_t)(req->block * SP_BLK_SIZE + done);
        ssize_t n = req->op == SP_BLK_READ ? pread(fd, req->buf + done, len - done, at)
                                           : pwrite(fd, req->buf + done, len - done, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return code_of(errno);
        if (n == 0)
            return SP_ERR_IO; /* the file was cut short under us */
        done += (size_t)n;
    }
    return SP_OK;
}

static sp_err perform(int fd, const struct sp_blk_req *req) {
    if (req->op == SP_BLK_FLUSH)
        return fdatasync(fd) == 0 ? SP_OK : code_of(errno);
    return transfer(fd, req);
}

static void *helper_main(void *ctx) {
    struct spl_disk *d = ctx;
    pthread_mutex_lock(&d->mutex);
    for (;;) {
        while (d->todo_len == 0 && !d->quit)
            pthread_cond_wait(&d->wake, &d->mutex);
        if (d->todo_len == 0)
            break;
        struct sp_blk_req req = d->todo[d->todo_at];
        d->todo_at = (d->todo_at + 1) % QUEUE;
        d->todo_len--;
        pthread_mutex_unlock(&d->mutex);
        sp_err err = perform(d->fd, &req);
        pthread_mutex_lock(&d->mutex);
        d->finished[d->finished_len++] = (struct done){req.id, err};
        eventfd_write(d->bell, 1);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

void spl_disk_request(struct spl_disk *d, const struct sp_blk_req *req) {
    SP_ASSERT(d->under_way < QUEUE);
    d->under_way++;
    if (req->op != SP_BLK_FLUSH && req->count <= INLINE_BLOCKS) {
        d->ready[d->ready_len++] = (struct done){req->id, transfer(d->fd, req)};
        return;
    }
    pthread_mutex_lock(&d->mutex);
    d->todo[(d->todo_at + d->todo_len++) % QUEUE] = *req;
    pthread_mutex_unlock(&d->mutex);
    pthread_cond_signal(&d->wake); /* unlocked, so that it need not wait again */
}

static void collect(struct spl_disk *d) {
    pthread_mutex_lock(&d->mutex);
    memcpy(d->ready + d->ready_len, d->finished, d->finished_len * sizeof d->finished[0]);
    d->ready_len += d->finished_len;
    d->finished_len = 0;
    pthread_mutex_unlock(&d->mutex);
}

size_t spl_disk_done(struct spl_disk *d, struct sp_in *in, size_t cap) {
    if (d->under_way > d->ready_len)
        collect(d);
    size_t n = d->ready_len < cap ? d->ready_len : cap;
    for (size_t i = 0; i < n; i++)
        in[i] = (struct sp_in){.kind = SP_IN_BLK, .id = d->ready[i].id, .err = d->ready[i].err};
    d->ready_len -= (unsigned)n;
    d->under_way -= (unsigned)n;
    memmove(d->ready, d->ready + n, d->ready_len * sizeof d->ready[0]);
    return n;
}

static void on_bell(evutil_socket_t fd, short what, void *ctx) {
    struct spl_disk *d = ctx;
    eventfd_t count;
    eventfd_read(d->bell, &count);
    spl_loop_turn(d->loop);
}

/* Whether nothing is in the file: it was never more than made long. A hole is passed over without being read. */
static bool is_blank(int fd, off_t size) {
    uint8_t block[SP_BLK_SIZE];
    for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0 && at < size;) {
        ssize_t n = pread(fd, block, sizeof block, at);
        if (n <= 0)
            return false;
        for (ssize_t i = 0; i < n; i++)
            if (block[i] != 0)
                return false;
        at += n;
    }
    return true;
}

static sp_err prepare(int fd, const char *name, uint64_t blocks, uint64_t *ret_blocks, bool *ret_blank,
                      struct spl_error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return spl_error_errno(err, "cannot look at %s", name);
    if (!S_ISREG(st.st_mode))
        return spl_error_set(err, SP_ERR_FORM, "%s is not a regular file", name);
    if ((st.st_mode & 077) != 0 &&
        fchmod(fd, 0600) != 0) /* it holds keys; a copy that was put back may be open to all */
        return spl_error_errno(err, "others may read %s, and that cannot be changed", name);
    uint64_t have = (uint64_t)st.st_size / SP_BLK_SIZE;
    if (st.st_size == 0) /* we never leave one like this, see create */
        return spl_error_set(err, SP_ERR_FORM, "%s is empty: put a copy of it back, or remove it to start with nothing",
                             name);
    if (have == 0)
        return spl_error_set(err, SP_ERR_FORM, "%s is too short to be a log", name);
    *ret_blank = is_blank(fd, st.st_size);
    if (have < blocks && *ret_blank) {
        if (ftruncate(fd, (off_t)(blocks * SP_BLK_SIZE)) != 0)
            return spl_error_errno(err, "cannot make %s %llu MiB long", name,
                                   (unsigned long long)(blocks * SP_BLK_SIZE >> 20));
        if (fsync(fd) != 0)
            return spl_error_errno(err, "cannot write %s to the disk", name);
        have = blocks;
    }
    *ret_blocks = have;
    return SP_OK;
}

/* A new file gets its name once it has its size, so that an empty one is never ours. Sized ahead, so that a flush has
 * no size to write; its blocks are taken from the file system as they are used. */
static sp_err create(int dirfd, const char *name, uint64_t blocks, int *ret_fd, struct spl_error *err) {
    char temp[300];
    if (snprintf(temp, sizeof temp, "%s.new", name) >= (int)sizeof temp)
        return spl_error_set(err, SP_ERR_FORM, "the file name %s is too long", name);
    if (unlinkat(dirfd, temp, 0) != 0 && errno != ENOENT)
        return spl_error_errno(err, "cannot remove %s", temp);
    int fd = openat(dirfd, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return spl_error_errno(err, "cannot create %s", temp);
    sp_err e = SP_OK;
    if (ftruncate(fd, (off_t)(blocks * SP_BLK_SIZE)) != 0)
        e = spl_error_errno(err, "cannot make %s %llu MiB long", name,
                            (unsigned long long)(blocks * SP_BLK_SIZE >> 20));
    else if (fsync(fd) != 0 || renameat(dirfd, temp, dirfd, name) != 0 || fsync(dirfd) != 0)
        e = spl_error_errno(err, "cannot write %s to the disk", name);
    if (e != SP_OK) {
        close(fd);
        unlinkat(dirfd, temp, 0);
        return e;
    }
    *ret_fd = fd;
    return SP_OK;
}

static sp_err start(struct spl_disk *d, struct spl_error *err) {
    d->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->bell < 0)
        return spl_error_errno(err, "cannot make an eventfd");
    /* Signals are the loop's. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int e = pthread_create(&d->helper, NULL, helper_main, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e != 0) {
        close(d->bell);
        errno = e;
        return spl_error_errno(err, "cannot start the disk thread");
    }
    event_assign(&d->ev, d->loop->base, d->bell, EV_READ | EV_PERSIST, on_bell, d);
    event_add(&d->ev, NULL);
    return SP_OK;
}

sp_err spl_disk_open(struct spl_loop *loop, int dirfd, const char *name, uint64_t blocks, uint64_t *ret_blocks,
                     bool *ret_blank, struct spl_error *err) {
    SP_ASSERT(loop->disk == NULL);
    int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        SP_TRY(create(dirfd, name, blocks, &fd, err));
    if (fd < 0 && errno == ELOOP)
        return spl_error_set(err, SP_ERR_FORM, "%s is a symbolic link, and none is followed; put the file itself there",
                             name);
    if (fd < 0)
        return spl_error_errno(err, "cannot open %s", name);
    sp_err e = prepare(fd, name, blocks, ret_blocks, ret_blank, err);
    struct spl_disk *d = e == SP_OK ? calloc(1, sizeof *d) : NULL;
    if (e == SP_OK && d == NULL)
        e = spl_error_set(err, SP_ERR_FULL, "no memory for the disk");
    if (e == SP_OK) {
        d->loop = loop;
        d->fd = fd;
        pthread_mutex_init(&d->mutex, NULL);
        pthread_cond_init(&d->wake, NULL);
        e = start(d, err);
    }
    if (e != SP_OK) {
        close(fd);
        free(d);
        return e;
    }
    loop->disk = d;
    return SP_OK;
}

void spl_disk_free(struct spl_disk *d) {
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->mutex);
    d->quit = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->mutex);
    pthread_join(d->helper, NULL);
    event_del(&d->ev);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->mutex);
    close(d->bell);
    close(d->fd);
    free(d);
}
