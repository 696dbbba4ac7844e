/* resolvconf(8), Debian's or openresolv's: the command merges what network devices say of resolvers into
 * /etc/resolv.conf. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/linux/dns_backend.h"

#define TIMEOUT_MS 5000
#define STEP_MS    10
#define NOT_RUN    127 /* as posix_spawn(3) and shells say it */

/* Both kinds put entries of tunnels first, which they know by such names (interface-order(5), resolvconf.conf(5)); ours
 * must be the first to be asked. */
#define ENTRY_PREFIX "tun0."

static const char *const places[] = {"/sbin/resolvconf", "/usr/sbin/resolvconf", "/usr/local/sbin/resolvconf",
                                     "/usr/bin/resolvconf"};

/* systemd has a command of this name too; it only speaks to systemd-resolved, which is looked for on its own. */
static bool is_resolvectl(const char *path) {
    char target[256];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return false;
    target[n] = 0;
    return strstr(target, "resolvectl") != NULL;
}

static const char *command(void) {
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], X_OK) == 0 && !is_resolvectl(places[i]))
            return places[i];
    return NULL;
}

bool spl_resolvconf_exists(void) {
    return command() != NULL;
}

/* Waits for a process, but not for ever. */
static int wait_for(pid_t pid) {
    const struct timespec step = {0, STEP_MS * 1000000L};
    int status;
    for (unsigned waited = 0; waited < TIMEOUT_MS; waited += STEP_MS) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (got < 0 && errno != EINTR)
            return -1;
        (void)nanosleep(&step, NULL);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1;
}

/* As from a shell: what it writes is for everybody to read, though what we write is not; broken pipes end its parts. */
static int spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions, char *const argv[]) {
    static char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    posix_spawnattr_t attr;
    sigset_t none, pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &pipe);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    mode_t old = umask(022);
    int r = posix_spawn(ret, path, actions, &attr, argv, env);
    umask(old);
    posix_spawnattr_destroy(&attr);
    return r;
}

/* Runs the command with `input` on its standard input and its words thrown away; a pipe holds so little text at once. */
static int run(const char *path, char *const argv[], const char *input) {
    posix_spawn_file_actions_t actions;
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    size_t len = strlen(input);
    bool fed = write(fds[1], input, len) == (ssize_t)len;
    close(fds[1]);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[0], 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int r = fed ? spawn(&pid, path, &actions, argv) : -1;
    posix_spawn_file_actions_destroy(&actions);
    close(fds[0]);
    return r == 0 ? wait_for(pid) : -1;
}

sp_err spl_resolvconf_set(const struct spl_dns_hook_config *config, struct spl_error *err) {
    const char *path = command();
    char entry[80], text[400], server[INET6_ADDRSTRLEN];
    if (path == NULL)
        return spl_error_set(
            err, SP_ERR_NOENT,
            "there is no resolvconf command; install resolvconf or openresolv, or choose another --dns");
    snprintf(entry, sizeof entry, ENTRY_PREFIX "%s", config->ifname);
    inet_ntop(AF_INET6, config->server, server, sizeof server);
    int n = snprintf(text, sizeof text, "nameserver %s\nsearch %s\n", server, config->zone);
    if (n < 0 || (size_t)n >= sizeof text)
        return spl_error_set(err, SP_ERR_RANGE, "the zone's name is too long for resolvconf");
    char *argv[] = {(char *)path, "-a", entry, NULL};
    int status = run(path, argv, text);
    if (status < 0 || status == NOT_RUN) {
        spl_resolvconf_remove(config->ifname);
        return spl_error_set(err, SP_ERR_IO, "%s -a %s could not be run; choose another --dns", path, entry);
    }
    /* It calls the scripts of all that is installed beside it, and has their failures for its own. */
    if (status != 0)
        spl_say("warning: %s -a %s ended with status %d; if names of %s do not resolve, choose another --dns", path,
                entry, status, config->zone);
    return SP_OK;
}

void spl_resolvconf_remove(const char *ifname) {
    const char *path = command();
    char entry[80];
    snprintf(entry, sizeof entry, ENTRY_PREFIX "%s", ifname);
    char *argv[] = {(char *)path, "-d", entry, NULL};
    if (path != NULL)
        (void)run(path, argv, "");
}
