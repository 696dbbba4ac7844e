#define _GNU_SOURCE
#include "proto/linux/clock.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

static uint64_t read_clock(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * SP_SEC + (uint64_t)ts.tv_nsec;
}

sp_instant spl_now(void) {
    return read_clock(CLOCK_MONOTONIC);
}

sp_wall spl_wall(void) {
    return (sp_wall){read_clock(CLOCK_REALTIME)};
}

void spl_seed(void *out, size_t len) {
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        SP_ASSERT(n > 0 && "the kernel gives random bytes");
        p += n;
        len -= (size_t)n;
    }
}

static void *map(size_t bytes) {
    if (bytes == 0 || bytes % SP_CHUNK != 0 || bytes > SIZE_MAX - SP_CHUNK)
        return NULL;
    /* One chunk more, then the ends that miss the alignment go back. */
    uint8_t *p =
        mmap(NULL, bytes + SP_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t head = (SP_CHUNK - (uintptr_t)p % SP_CHUNK) % SP_CHUNK;
    if (head > 0)
        munmap(p, head);
    munmap(p + head + bytes, SP_CHUNK - head);
    /* Keys lie in chunks: no copies of them in dumps and children. */
    madvise(p + head, bytes, MADV_DONTDUMP);
    madvise(p + head, bytes, MADV_DONTFORK);
    return p + head;
}

static void *grant(void *ctx, size_t bytes) {
    void *p = map(bytes);
    if (p != NULL)
        madvise(p, bytes, MADV_HUGEPAGE); /* zones are read at random: huge pages spare the TLB */
    return p;
}

static void *grant_small(void *ctx, size_t bytes) {
    void *p = map(bytes);
    if (p != NULL)
        madvise(p, bytes, MADV_NOHUGEPAGE);
    return p;
}

static void release(void *ctx, void *chunk, size_t bytes) {
    if (chunk != NULL)
        munmap(chunk, bytes);
}

struct sp_grant spl_grant(void) {
    return (struct sp_grant){NULL, grant, release};
}

struct sp_grant spl_grant_small(void) {
    return (struct sp_grant){NULL, grant_small, release};
}
