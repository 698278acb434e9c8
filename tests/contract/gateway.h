/* tests/contract/gateway.h - a whole gateway in the test's process, around one front end.
 *
 * Failures of what is only the stage (the engine, the loops) fail the test at once. */
#ifndef WEIR_TESTS_CONTRACT_GATEWAY_H
#define WEIR_TESTS_CONTRACT_GATEWAY_H

#include "adapters/shared/loop.h"
#include "weir/adapter.h"

#include <stdatomic.h>

enum { DEADLINE_MS = 60000, SHORT_MS = 200 };

typedef struct host {
    weir_host outer; /* first */
    const weir_adapter_ops *ops;
    const char *const *settings; /* key, value, ..., NULL */
    const char *override[2];     /* a setting that comes before those */
    weir_adapter *adapter;
    char address[256]; /* the last announced */
    unsigned announcements;
    atomic_uint drained;
    atomic_uint errors; /* lines it logged as an error */
    bool started;
} host;

typedef struct gateway {
    char dir[64];
    struct weir_env *posix;
    struct weir_env *env; /* posix's calls, but writes once the disk is broken */
    weir_engine *engine;
    weir_loops *loops;
    weir_limits limits; /* change them before host_start */
    bool broken;        /* the disk */
    host host;
} gateway;

/* An engine on a fresh directory, with the topic "logged" (level os), a tail of 4 MiB and output of
 * 64 KiB a connection; the host is prepared and not started. */
gateway *gateway_open(const weir_adapter_ops *ops, const char *const *settings);
void gateway_close(gateway *self); /* stops the host's adapter, too */

void host_prepare(host *self, gateway *owner, const weir_adapter_ops *ops,
                  const char *const *settings);
weir_err host_start(host *self, weir_fault *fault); /* configures, which must succeed, and starts */
void host_stop(host *self);

void disk_break(gateway *self); /* no write of the engine succeeds from now on */
void topic_create(gateway *self, const char *name);
int64_t topic_end(gateway *self, const char *name); /* its end offset */
uint64_t metric_get(const gateway *self, const char *name);
void drained_wait(const gateway *self); /* until drained was called; more than once fails */
unsigned sockets_count(void);           /* open in this process */
void pause_ms(void);                    /* one millisecond, between looks at what is waited for */

#endif
