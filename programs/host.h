/* programs/host.h - the front ends of one gateway: which there are, and the host each runs in. */
#ifndef WEIR_PROGRAMS_HOST_H
#define WEIR_PROGRAMS_HOST_H

#include "weir/adapter.h"

#include "programs/config.h"

typedef struct weir_hosts weir_hosts;

/* Collects the table of every adapter that the configuration switches on, loading those in shared
 * objects, and looks at what can be told before a start: TLS files, nng URLs. Opens no listener.
 * NOT_FOUND, VERSION, INVALID, NO_MEMORY. The configuration is borrowed for
 * the hosts' life. */
weir_err weir_hosts_create(const weir_config *config, weir_hosts **hosts, weir_fault *fault);
/* Configures all, then starts all. A setting of a loaded adapter that its configure never asked for
 * is INVALID. On failure stop is still due. */
weir_err weir_hosts_start(weir_hosts *hosts, weir_engine *engine, struct weir_loops *loops,
                          weir_fault *fault);
/* Asks every started one to drain; weir_hosts_drained tells when they have. */
void weir_hosts_drain(weir_hosts *hosts);
bool weir_hosts_drained(const weir_hosts *hosts);
/* Readable when another adapter has drained; stays the hosts'. weir_hosts_drained clears it. */
int weir_hosts_fd(const weir_hosts *hosts);
void weir_hosts_stop(weir_hosts *hosts);
void weir_hosts_destroy(weir_hosts *hosts);

/* "NAME ADDRESS\n" for every listener announced. Borrowed. */
const char *weir_hosts_announced(const weir_hosts *hosts);

#endif
