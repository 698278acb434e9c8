/* bench/process.h - processes, folders and ports that a run needs and leaves nothing of.
 *
 * Main thread only. A process started here dies with the caller. */
#ifndef WEIR_BENCH_PROCESS_H
#define WEIR_BENCH_PROCESS_H

#include "weir/base.h"

#include <sys/types.h>

/* Starts a program, found by path, with standard output and error in the file `log` and its working
 * folder `folder`. `environment`: NULL, or NAME=VALUE strings added to the caller's, NULL at the
 * end. IO. */
weir_err weir_process_start(char *const *argv, char *const *environment, const char *folder,
                            const char *log, pid_t *pid);
/* Forks: `body` runs in the child, which ends with what it returns. IO. */
weir_err weir_process_fork(int (*body)(void *arg), void *arg, pid_t *pid);
/* False once it has ended (it is reaped). */
bool weir_process_lives(pid_t pid);
/* SIGTERM, and SIGKILL when it has not ended after wait_ms. Reaps it. */
void weir_process_end(pid_t pid, int wait_ms);

/* Every process of its group, itself included: none of them runs until it is resumed. */
void weir_process_group_stop(pid_t pid);
void weir_process_group_resume(pid_t pid);
/* SIGKILL to it and to all of its process group, and waits until they have ended. Reaps it. */
void weir_process_kill_group(pid_t pid);

/* Runs a program and keeps the first `size` - 1 bytes of what it says on both outputs. False when
 * it cannot be run. */
bool weir_process_capture(char *const *argv, char *text, size_t size);
/* Runs a program, gives it `in` on its standard input and takes exactly `out_len` bytes from its
 * standard output; its standard error is the caller's. False when it gives less or ends with
 * another code than 0. */
bool weir_process_ask(char *const *argv, const void *in, size_t in_len, void *out, size_t out_len);
/* The path of a program in $PATH and the sbin folders. */
bool weir_program_find(const char *name, char *path, size_t size);

/* A fresh folder below $TMPDIR, or /tmp. IO. */
weir_err weir_folder_make(char *path, size_t size);
void weir_folder_remove(const char *path);
bool weir_file_write(const char *path, const char *text);
/* False when it is not there. The text is cut at size - 1. */
bool weir_file_read(const char *path, char *text, size_t size);

/* A listening socket on a port of 127.0.0.1 that the system picks. IO. */
weir_err weir_bench_listener(int *listener, uint16_t *port);
/* A port that was free a moment ago. 0: none. */
uint16_t weir_port_free(void);
/* Waits until something listens there. CLOSED: the process ended first. TIMEOUT. */
weir_err weir_port_await(uint16_t port, pid_t pid, int wait_ms);

#endif
