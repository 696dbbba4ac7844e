#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/core/stored.h"
#include "client/linux/state.h"
#include "proto/linux/addr.h"

/* The agent's files: modes, atomic replacement, and what is said about files that cannot be used. */

struct scene {
    char top[64], dir[128];
    struct spl_state s;
    struct sp_agent_identity id;
    struct spl_error err;
};

static int set_up(void **state) {
    struct scene *c = calloc(1, sizeof *c);
    if (sp_crypto_init() != SP_OK)
        return -1;
    strcpy(c->top, "/tmp/agent-state-XXXXXX");
    if (mkdtemp(c->top) == NULL)
        return -1;
    snprintf(c->dir, sizeof c->dir, "%s/state", c->top);
    if (sp_name_from_text(&c->id.zone, "me.signpost.", 12, NULL) != SP_OK ||
        sp_name_from_text(&c->id.name, "laptop", 6, &c->id.zone) != SP_OK ||
        spl_addr_parse(&c->id.addrs[0], "[2001:db8::1]:53", 0) != SP_OK)
        return -1;
    c->id.addr_count = 1;
    memset(c->id.device_seed, 0x5e, sizeof c->id.device_seed);
    *state = c;
    return spl_state_open(&c->s, c->dir, true, &c->err);
}

static int tear_down(void **state) {
    struct scene *c = *state;
    char command[200];
    spl_state_close(&c->s);
    snprintf(command, sizeof command, "rm -rf '%s'", c->top);
    int r = system(command);
    free(c);
    return r;
}

static mode_t mode_of(const char *dir, const char *name) {
    char path[300];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void put(struct scene *c, const char *name, const void *data, size_t len) {
    int fd = openat(c->s.dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static void identity_comes_back(void **state) {
    struct scene *c = *state;
    struct sp_agent_identity got;
    assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_ERR_NOENT);
    assert_non_null(strstr(c->err.text, "signpost-agent join"));
    for (int pending = 1; pending >= 0; pending--) {
        c->id.pending = pending;
        assert_int_equal(spl_state_identity_write(&c->s, &c->id, &c->err), SP_OK);
        assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_OK);
        assert_int_equal(got.pending, pending);
        assert_true(sp_name_equal(&got.name, &c->id.name));
        assert_true(sp_name_equal(&got.zone, &c->id.zone));
        assert_memory_equal(got.device_seed, c->id.device_seed, sizeof got.device_seed);
        assert_memory_equal(got.addrs, c->id.addrs, sizeof got.addrs);
    }
    assert_int_equal(mode_of(c->top, "state"), 0700);
    assert_int_equal(mode_of(c->dir, "identity"), 0600);
    /* Nothing temporary stays behind. */
    DIR *d = opendir(c->dir);
    unsigned files = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        files += e->d_name[0] != '.';
    closedir(d);
    assert_int_equal(files, 1);
}

static void every_damage_is_seen(void **state) {
    struct scene *c = *state;
    struct sp_agent_identity got;
    uint8_t data[SP_STORED_MAX];
    size_t len = sp_stored_identity_write(&c->id, data);
    for (size_t i = 0; i < len; i++) {
        data[i] ^= 0x10;
        put(c, "identity", data, len);
        sp_err e = spl_state_identity_read(&c->s, &got, &c->err);
        assert_int_equal(e, i < 4 ? SP_ERR_FORM : i == 4 ? SP_ERR_UNSUP : SP_ERR_CORRUPT);
        data[i] ^= 0x10;
    }
    for (size_t n = 0; n < len; n++) {
        put(c, "identity", data, n);
        assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), n < 5 ? SP_ERR_FORM : SP_ERR_CORRUPT);
    }
    uint8_t big[3 * SP_STORED_MAX] = {0};
    put(c, "identity", big, sizeof big);
    assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_ERR_FORM);
    put(c, "identity", data, len);
    assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_OK);
}

static void errors_say_what_to_do(void **state) {
    struct scene *c = *state;
    struct sp_agent_identity got;
    uint8_t data[SP_STORED_MAX];
    size_t len = sp_stored_identity_write(&c->id, data);
    data[4] = 2;
    put(c, "identity", data, len);
    assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_ERR_UNSUP);
    assert_non_null(strstr(c->err.text, "newer"));
    data[4] = 1;
    data[20] ^= 1;
    put(c, "identity", data, len);
    assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_ERR_CORRUPT);
    assert_non_null(strstr(c->err.text, "damaged"));
    assert_non_null(strstr(c->err.text, c->dir));
    struct spl_state other;
    assert_int_equal(spl_state_open(&other, "/nonexistent/agent", false, &c->err), SP_ERR_NOENT);
    assert_non_null(strstr(c->err.text, "signpost-agent join"));
}

static void memory_comes_back_or_is_empty(void **state) {
    struct scene *c = *state;
    struct sp_agent_memory m = {.signed_at = 1800000000, .published_count = 2}, got;
    assert_int_equal(spl_addr_parse(&m.published[0], "192.0.2.1", 0), SP_OK);
    assert_int_equal(spl_addr_parse(&m.published[1], "2001:db8::7", 0), SP_OK);
    spl_state_memory_read(&c->s, &got);
    assert_int_equal(got.published_count, 0);
    assert_int_equal(spl_state_memory_write(&c->s, &m, &c->err), SP_OK);
    spl_state_memory_read(&c->s, &got);
    assert_int_equal(got.signed_at, m.signed_at);
    assert_int_equal(got.published_count, 2);
    assert_memory_equal(got.published, m.published, sizeof got.published);
    assert_int_equal(mode_of(c->dir, "memory"), 0600);
    put(c, "memory", "rubbish", 7);
    spl_state_memory_read(&c->s, &got); /* warns */
    assert_int_equal(got.published_count, 0);
    assert_int_equal(got.signed_at, 0);
}

static void forgetting_leaves_nothing(void **state) {
    struct scene *c = *state;
    struct sp_agent_memory m = {.signed_at = 1};
    struct sp_agent_identity got;
    assert_int_equal(spl_state_identity_write(&c->s, &c->id, &c->err), SP_OK);
    assert_int_equal(spl_state_memory_write(&c->s, &m, &c->err), SP_OK);
    /* Another name of the same file shows that the bytes went, not only the name. */
    assert_int_equal(linkat(c->s.dirfd, "identity", c->s.dirfd, "link", 0), 0);
    assert_int_equal(spl_state_forget(&c->s, &c->err), SP_OK);
    assert_int_equal(spl_state_identity_read(&c->s, &got, &c->err), SP_ERR_NOENT);
    assert_int_equal(faccessat(c->s.dirfd, "memory", F_OK, 0), -1);
    uint8_t data[SP_STORED_MAX];
    int fd = openat(c->s.dirfd, "link", O_RDONLY);
    ssize_t n = read(fd, data, sizeof data);
    close(fd);
    assert_true(n > 100);
    for (ssize_t i = 0; i < n; i++)
        assert_int_equal(data[i], 0);
    assert_int_equal(spl_state_forget(&c->s, &c->err), SP_OK); /* twice is fine */
}

static void a_second_agent_is_refused(void **state) {
    struct scene *c = *state;
    struct spl_state other;
    assert_int_equal(spl_state_lock(&c->s, &c->err), SP_OK);
    assert_int_equal(spl_state_open(&other, c->dir, false, &c->err), SP_OK);
    assert_int_equal(spl_state_lock(&other, &c->err), SP_ERR_EXIST);
    assert_non_null(strstr(c->err.text, "in use by process"));
    spl_state_close(&other);
}

static void a_directory_open_to_others_is_refused(void **state) {
    struct scene *c = *state;
    struct spl_state other;
    assert_int_equal(chmod(c->dir, 0770), 0);
    assert_int_equal(spl_state_open(&other, c->dir, false, &c->err), SP_ERR_DENIED);
    assert_int_equal(chmod(c->dir, 0700), 0);
}

static void default_places(void **state) {
    char path[4096], *xdg = getenv("XDG_STATE_HOME");
    struct spl_error err;
    assert_null(xdg);
    assert_int_equal(spl_state_default(path, sizeof path, &err), SP_OK);
    if (geteuid() == 0) {
        assert_string_equal(path, "/var/lib/signpost-agent");
        assert_int_equal(spl_state_default(path, 10, &err), SP_ERR_RANGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_damage_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_say_what_to_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_comes_back_or_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgetting_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_agent_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_open_to_others_is_refused, set_up, tear_down),
        cmocka_unit_test(default_places),
    };
    unsetenv("XDG_STATE_HOME");
    return cmocka_run_group_tests_name("agent_state_file", tests, NULL, NULL);
}
