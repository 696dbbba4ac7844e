/* The few libc symbols that the compiler, the cores and libsodium ask for. What libsodium asks for and the unikernel never uses
 * (guarded allocations, password hashing) fails as if the system had none of it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/base/err.h"
#include "unikernel/lib/crash.h"
#include "unikernel/xen/console.h"

_Noreturn void sp_panic(const char *file, int line, const char *what) {
    spx_print("signpost: %s, line %u: %s\n", file, (uint64_t)line, what);
    spx_crash("an assertion does not hold");
}

_Noreturn void __stack_chk_fail(void);
_Noreturn void __stack_chk_fail(void) {
    spx_crash("stack overrun");
}
_Noreturn void abort(void);
_Noreturn void abort(void) {
    spx_crash("abort");
}
_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *function);
_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *function) {
    sp_panic(file, (int)line, what);
}
int *__errno_location(void);
int *__errno_location(void) {
    static int value;
    return &value;
}

/* How libsodium wipes: through a call that the compiler cannot see into. */
void __explicit_bzero_chk(void *p, size_t n, size_t room);
void __explicit_bzero_chk(void *p, size_t n, size_t room) {
    if (n > room)
        spx_crash("wiped past the end of a buffer");
    memset(p, 0, n);
    __asm__ volatile("" ::"r"(p) : "memory");
}

/* One CPU, no threads: nothing to lock. */
int pthread_mutex_lock(void *m);
int pthread_mutex_lock(void *m) {
    return 0;
}
int pthread_mutex_unlock(void *m);
int pthread_mutex_unlock(void *m) {
    return 0;
}

/* Never of use here. */
#define ABSENT(type, name, params, value) \
    type name params;                     \
    type name params {                    \
        return value;                     \
    }
ABSENT(void *, malloc, (size_t n), NULL)
ABSENT(void, free, (void *p), )
ABSENT(int, posix_memalign, (void **p, size_t align, size_t n), 12)
ABSENT(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, long off), (void *)-1)
ABSENT(int, munmap, (void *at, size_t n), -1)
ABSENT(int, mprotect, (void *at, size_t n, int prot), -1)
ABSENT(int, mlock, (const void *at, size_t n), -1)
ABSENT(int, munlock, (const void *at, size_t n), -1)
ABSENT(int, madvise, (void *at, size_t n, int advice), -1)
ABSENT(int, raise, (int sig), -1)
ABSENT(long, sysconf, (int name), 4096)

/* libsodium chooses between implementations of these when it starts. Nothing here hashes passwords or uses Salsa20, and without the
 * choice their code is not linked. */
ABSENT(int, _crypto_pwhash_argon2_pick_best_implementation, (void), 0)
ABSENT(int, _crypto_stream_salsa20_pick_best_implementation, (void), 0)
