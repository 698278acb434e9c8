/* tests/contract/contract.h - what every front end owes, asked through a probe.
 *
 * contract.c has the tests and knows no protocol; a probe speaks one. A program is contract.c with
 * one probe: contract.mqtt, contract.lines, ... A new front end writes a probe of a hundred lines
 * and a line in CMakeLists.txt. */
#ifndef WEIR_TESTS_CONTRACT_CONTRACT_H
#define WEIR_TESTS_CONTRACT_CONTRACT_H

#include "core/base/buffer.h"
#include "weir/adapter.h"

typedef enum contract_event_type {
    CONTRACT_NOTHING,  /* nothing came in time */
    CONTRACT_OTHER,    /* something that no test asks about */
    CONTRACT_ACK,      /* a publish is done, or a subscription stands */
    CONTRACT_REFUSED,  /* an answer that says no */
    CONTRACT_RECORD,   /* name and value are set */
    CONTRACT_FAREWELL, /* the gateway said that it goes */
    CONTRACT_END,      /* the connection is over */
} contract_event_type;

enum { CONTRACT_NAME_MAX = 256, CONTRACT_VALUE_MAX = 20000 };

typedef struct contract_event {
    contract_event_type type;
    char name[CONTRACT_NAME_MAX];
    size_t value_len;
    char value[CONTRACT_VALUE_MAX];
} contract_event;

/* One peer of the front end. The first part is the probe's to use. */
typedef struct contract_peer {
    int fd;         /* -1: none */
    void *own;      /* a probe without sockets */
    uint32_t count; /* packet ids, request numbers */
    weir_buffer in;

    unsigned acks; /* seen and not asked for yet: contract.c's from here on */
    unsigned refusals;
    bool farewell;
    bool ended;
    struct contract_record *records; /* the oldest first */
    struct contract_record **records_last;
} contract_peer;

typedef struct contract_probe {
    const char *name;
    const weir_adapter_ops *(*ops)(void);
    const char *settings[8]; /* key, value, ..., NULL: what it is started with */
    const char *bad[2];      /* a setting and a value that configure refuses; NULL: has none */
    const char *port_key;    /* the setting that names its port; NULL: it has none */
    bool exclusive;          /* a second one with the same settings cannot start */
    bool farewell;           /* the protocol has a word for "the gateway goes" */
    const char *published;   /* a counter that rises by 1 with each acknowledged publish */

    /* Connects and says what has to be said first. False: refused. */
    bool (*connect)(contract_peer *peer, const char *address);
    void (*publish)(contract_peer *peer, const char *name, const char *value, size_t len);
    void (*subscribe)(contract_peer *peer, const char *filter);
    void (*misbehave)(contract_peer *peer); /* sends what is not the protocol */
    /* The next thing that comes, within timeout_ms. */
    void (*read)(contract_peer *peer, int timeout_ms, contract_event *event);
    void (*close)(contract_peer *peer);
} contract_probe;

/* The probe this program was linked with. */
extern const contract_probe contract_probe_used;
/* The program's arguments, for probes of what is loaded. */
extern const char *contract_argument;

/* ---- For probes over sockets (sockets.c)
 * --------------------------------------------------------- */

/* "127.0.0.1:1883", "unix:/path" or "/path". */
bool contract_socket_connect(contract_peer *peer, const char *address);
void contract_socket_send(contract_peer *peer, const void *bytes, size_t len);
void contract_socket_close(contract_peer *peer);
/* Reads until `decode` finds something whole at the front: it fills the event and returns how many
 * bytes that took. An event left as it was: not whole yet. */
void contract_socket_read(contract_peer *peer, int timeout_ms, contract_event *event,
                          size_t (*decode)(contract_peer *peer, weir_bytes in,
                                           contract_event *event));
void contract_event_record(contract_event *event, weir_bytes name, weir_bytes value);

#endif
