/* include/weir/adapter.h - what a front end is: one ops table, and the host that it runs in.
 *
 * An adapter turns a protocol into port operations. Built-in ones are linked in; others are shared
 * objects named in weir.yaml (adapters: [{name, path, settings}]) that export
 *
 *     WEIR_ADAPTER_EXPORT const weir_adapter_ops *weir_adapter_entry(void);
 *
 * Life: configure -> start -> (serving) -> drain -> stop. Every slot is filled. All but stats are
 * called on the program's main thread, never two at once; an adapter brings its own threads or,
 * when it is built in, runs on the host's loops. Every adapter passes tests/contract. */
#ifndef WEIR_ADAPTER_H
#define WEIR_ADAPTER_H

#include "weir/base.h"
#include "weir/engine.h"
#include "weir/port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when this header or port.h changes in a way that old objects would not survive. */
#define WEIR_ADAPTER_ABI 1u

#define WEIR_ADAPTER_EXPORT __attribute__((visibility("default")))

typedef struct weir_adapter weir_adapter; /* the adapter's own */
typedef struct weir_host weir_host;

/* Is told one counter of the adapter of that name. */
typedef void (*weir_host_counter_fn)(void *arg, const char *adapter, const char *metric,
                                     uint64_t value);

/* What a host does for an adapter. Any thread, unless it says otherwise. */
typedef struct weir_host_ops {
    /* The text of a setting ("port", "address", "max_connections"), from the adapter's part of the
     * configuration and --set; NULL when it is not set. Borrowed for the host's life. */
    const char *(*setting)(weir_host *host, const char *key);
    /* A listener is ready: goes to the ports file as "NAME ADDRESS". Within start only. Copied. */
    void (*announce)(weir_host *host, const char *name, const char *address);
    /* The adapter holds nothing in flight any more: the answer to drain. */
    void (*drained)(weir_host *host);
    /* A line of log. level: 0 debug, 1 info, 2 warning, 3 error. */
    void (*log)(weir_host *host, int level, const char *line);
    /* Tells every counter of every adapter that serves in this program, the caller's included. NULL
     * in a host that runs only one. */
    void (*counters)(weir_host *host, weir_host_counter_fn each, void *arg);
} weir_host_ops;

struct weir_host {
    const weir_host_ops *ops;
    weir_engine *engine;
    const weir_limits *limits;
    const char *data_dir;
    struct weir_loops *loops; /* adapters/shared: the I/O threads; NULL in a host without them */
};

typedef struct weir_adapter_ops {
    uint32_t abi;     /* WEIR_ADAPTER_ABI; another is refused (VERSION) before anything is called */
    const char *name; /* "mqtt"; its part of the configuration */
    const char *version; /* of the adapter, for people */

    /* Reads its settings and makes the adapter; opens nothing. INVALID with a fault that names the
     * setting and what would be right. The host outlives the adapter. */
    weir_err (*configure)(weir_host *host, weir_adapter **adapter, weir_fault *fault);
    /* Listens and announces. Once. On failure nothing stays open (stop is still called). */
    weir_err (*start)(weir_adapter *adapter, weir_fault *fault);
    /* Accepts and takes in nothing new; answers what is in flight; tells peers in its protocol;
     * then calls host->ops->drained (from any thread, possibly within this call). Never blocks.
     * Once. What a full or broken disk holds up is not answered in time: the host calls
     * weir_engine_stop_waiting before stop, and each such operation ends with CLOSED, upon which a
     * peer is told neither yes nor no. */
    void (*drain)(weir_adapter *adapter);
    /* Closes everything at once, drained or not, joins its threads, frees the adapter. Once. May
     * block, briefly: until the engine has given back every operation, which it does at once. */
    void (*stop)(weir_adapter *adapter);
    /* Tells each counter by its metric name. While serving: after start, before drain. Any thread,
     * at any rate, more than one at once; never blocks. */
    void (*stats)(weir_adapter *adapter,
                  void (*each)(void *arg, const char *metric, uint64_t value), void *arg);
} weir_adapter_ops;

typedef const weir_adapter_ops *(*weir_adapter_entry_fn)(void);

#ifdef __cplusplus
}
#endif

#endif
