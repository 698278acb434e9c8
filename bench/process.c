/* bench/process.c - start, end and await; folders and ports of a run.
 *
 * Happy path: a subject gets a folder and ports nobody else has, is awaited on its port, and is
 * ended by SIGTERM. A port that is taken between the look and the start makes the start fail, which
 * the caller tells; nothing is retried in secret.
 *
 * [O1] A child is killed when its parent dies, and has a process group of its own, so that ^C
 * reaches only the bench, which then ends it. */
#include "bench/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_MS = 5,
    GROUP_END_MS_MAX = 15000,
    LISTEN_BACKLOG = 4096,
    FTW_DESCRIPTORS = 16,
    ENVIRONMENT_MAX = 32,
};

static void rest(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* In the child, before anything else. [O1] */
static void child_begin(pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    (void)setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(126);
    }
}

static void child_exec(char *const *argv, char *const *environment, const char *folder,
                       const char *log)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        chdir(folder) != 0) {
        _exit(126);
    }
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        (void)putenv(environment[i]);
    }
    execv(argv[0], argv);
    _exit(127);
}

weir_err weir_process_start(char *const *argv, char *const *environment, const char *folder,
                            const char *log, pid_t *pid)
{
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        child_begin(parent);
        child_exec(argv, environment, folder, log);
    }
    if (child < 0) {
        return WEIR_IO;
    }
    *pid = child;
    return WEIR_OK;
}

weir_err weir_process_fork(int (*body)(void *arg), void *arg, pid_t *pid)
{
    pid_t parent = getpid();
    pid_t child;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        child_begin(parent);
        _exit(body(arg));
    }
    if (child < 0) {
        return WEIR_IO;
    }
    *pid = child;
    return WEIR_OK;
}

bool weir_process_lives(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == 0;
}

void weir_process_end(pid_t pid, int wait_ms)
{
    if (kill(pid, SIGTERM) != 0) {
        return;
    }
    for (int waited = 0; weir_process_lives(pid); waited += LOOK_MS) {
        if (waited >= wait_ms) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            return;
        }
        rest(LOOK_MS);
    }
}

void weir_process_group_stop(pid_t pid)
{
    (void)kill(-pid, SIGSTOP); /* [O1] */
}

void weir_process_group_resume(pid_t pid)
{
    (void)kill(-pid, SIGCONT);
}

void weir_process_kill_group(pid_t pid)
{
    (void)kill(-pid, SIGKILL); /* [O1]: its own group */
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    /* The others are nobody's children by now: they have ended when the group has. */
    for (int waited = 0; kill(-pid, 0) == 0 && waited < GROUP_END_MS_MAX; waited += LOOK_MS) {
        rest(LOOK_MS);
    }
}

static void capture_exec(char *const *argv, int out)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0) {
        execv(argv[0], argv);
    }
    _exit(127);
}

bool weir_process_capture(char *const *argv, char *text, size_t size)
{
    int ends[2];
    size_t len = 0;
    int status = -1;
    pid_t parent = getpid();
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    child = fork();
    if (child == 0) {
        child_begin(parent);
        capture_exec(argv, ends[1]);
    }
    close(ends[1]);
    while (child > 0) {
        char lost[512];
        char *to = len < size - 1 ? text + len : lost;
        ssize_t got = read(ends[0], to, to == lost ? sizeof(lost) : size - 1 - len);
        if (got <= 0) {
            break;
        }
        len += to == lost ? 0 : (size_t)got;
    }
    close(ends[0]);
    text[len] = '\0';
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) != 127;
}

static bool all_written(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);
        if (put <= 0) {
            return false;
        }
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

static bool all_read(int fd, uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t got = read(fd, bytes, len);
        if (got <= 0) {
            return false;
        }
        bytes += got;
        len -= (size_t)got;
    }
    return true;
}

bool weir_process_ask(char *const *argv, const void *in, size_t in_len, void *out, size_t out_len)
{
    int to[2];
    int from[2];
    int status = -1;
    pid_t parent = getpid();
    pid_t child;
    bool asked;
    if (pipe2(to, O_CLOEXEC) != 0) {
        return false;
    }
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return false;
    }
    child = fork();
    if (child == 0) {
        child_begin(parent);
        if (dup2(to[0], 0) >= 0 && dup2(from[1], 1) >= 0) {
            execv(argv[0], argv);
        }
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    signal(SIGPIPE, SIG_IGN);
    asked = child > 0 && all_written(to[1], in, in_len);
    close(to[1]);
    asked = asked && all_read(from[0], out, out_len);
    close(from[0]);
    return child > 0 && waitpid(child, &status, 0) == child && asked && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

bool weir_program_find(const char *name, char *path, size_t size)
{
    const char *given = getenv("PATH");
    char folders[4096];
    char *rest_of = folders;
    char *folder;
    snprintf(folders, sizeof(folders), "%s:/usr/local/sbin:/usr/sbin:/sbin",
             given != NULL ? given : "/usr/bin");
    while ((folder = strsep(&rest_of, ":")) != NULL) {
        snprintf(path, size, "%s/%s", folder, name);
        if (folder[0] == '/' && access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

weir_err weir_folder_make(char *path, size_t size)
{
    const char *above = getenv("TMPDIR");
    snprintf(path, size, "%s/weir-bench-XXXXXX", above != NULL ? above : "/tmp");
    return mkdtemp(path) != NULL ? WEIR_OK : WEIR_IO;
}

static int entry_remove(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    return remove(path);
}

void weir_folder_remove(const char *path)
{
    (void)nftw(path, entry_remove, FTW_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

bool weir_file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool written = file != NULL && fputs(text, file) >= 0;
    return file != NULL && fclose(file) == 0 && written;
}

bool weir_file_read(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t len;
    if (file == NULL) {
        return false;
    }
    len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
    return true;
}

weir_err weir_bench_listener(int *listener, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
        listen(fd, LISTEN_BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        *listener = fd;
        *port = ntohs(address.sin_port);
        return WEIR_OK;
    }
    if (fd >= 0) {
        close(fd);
    }
    return WEIR_IO;
}

uint16_t weir_port_free(void)
{
    int listener;
    uint16_t port = 0;
    if (weir_bench_listener(&listener, &port) == WEIR_OK) {
        close(listener);
    }
    return port;
}

static bool port_answers(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return answers;
}

weir_err weir_port_await(uint16_t port, pid_t pid, int wait_ms)
{
    for (int waited = 0; waited < wait_ms; waited += LOOK_MS) {
        if (port_answers(port)) {
            return WEIR_OK;
        }
        if (!weir_process_lives(pid)) {
            return WEIR_CLOSED;
        }
        rest(LOOK_MS);
    }
    return WEIR_TIMEOUT;
}
