/* The guest's own memory functions, beside this system's. */
#include "tests/unit/cm.h"

#include <string.h>

#define memcpy  guest_memcpy
#define memmove guest_memmove
#define memset  guest_memset
#define memcmp  guest_memcmp
#define strlen  guest_strlen
#include "unikernel/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen

#define MOST 150
#define ROOM (3 * MOST)

static void fill(uint8_t *buf) {
    for (size_t i = 0; i < ROOM; i++)
        buf[i] = (uint8_t)(i * 7 + 1);
}

/* Every length from and to every place within 16 bytes; what is around stays as it is. */
static void copies_any_length(void **state) {
    for (size_t n = 0; n <= MOST; n++)
        for (size_t from = 0; from < 16; from++)
            for (size_t to = 0; to < 16; to++) {
                uint8_t source[ROOM], ours[ROOM] = {0}, theirs[ROOM] = {0};
                fill(source);
                assert_ptr_equal(guest_memcpy(ours + to, source + from, n), ours + to);
                memcpy(theirs + to, source + from, n);
                assert_memory_equal(ours, theirs, ROOM);
            }
}

/* Up and down by every distance, less and more than the length. */
static void moves_what_overlaps(void **state) {
    for (size_t n = 0; n <= MOST; n++)
        for (size_t from = 0; from < 2 * MOST; from++) {
            uint8_t ours[ROOM], theirs[ROOM];
            fill(ours);
            fill(theirs);
            assert_ptr_equal(guest_memmove(ours + MOST, ours + from, n), ours + MOST);
            memmove(theirs + MOST, theirs + from, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
}

static void sets_any_length(void **state) {
    for (size_t n = 0; n <= MOST; n++)
        for (size_t to = 0; to < 16; to++) {
            uint8_t ours[ROOM], theirs[ROOM];
            fill(ours);
            fill(theirs);
            assert_ptr_equal(guest_memset(ours + to, 0x1a7, n), ours + to);
            memset(theirs + to, 0x1a7, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
}

static int sign(int v) {
    return (v > 0) - (v < 0);
}

/* The first byte that differs decides, as a number without sign. */
static void compares_any_length(void **state) {
    for (size_t n = 1; n <= MOST; n++)
        for (size_t at = 0; at < n; at++) {
            uint8_t a[MOST + 1] = {0}, b[MOST + 1] = {0};
            a[at] = 0x80;
            b[at] = 0x7f;
            if (at + 1 < n)
                b[at + 1] = 0xff;
            a[n] = 1;
            assert_int_equal(sign(guest_memcmp(a, b, n)), 1);
            assert_int_equal(sign(guest_memcmp(b, a, n)), -1);
            b[at] = 0x80;
            b[at + 1] = a[at + 1];
            assert_int_equal(guest_memcmp(a, b, n), 0);
        }
    assert_int_equal(guest_memcmp("a", "b", 0), 0);
    assert_int_equal(guest_strlen(""), 0);
    assert_int_equal(guest_strlen("four"), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_any_length), cmocka_unit_test(moves_what_overlaps),
                                       cmocka_unit_test(sets_any_length), cmocka_unit_test(compares_any_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
