/* include/weir/base.h - the words every room shares: error codes, byte spans, faults.
 *
 * What can fail returns a weir_err; WEIR_OK is 0. Each code has a class, and callers branch on
 * code or class, never on text. Outputs are written last, and only on WEIR_OK.
 *
 * Ownership words used in every header: *borrow* (the callee uses it until the call returns),
 * *take* (the callee's on success, still the caller's on failure), *keep/drop* (counted). A pointer
 * without a word is borrowed. */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_API __attribute__((visibility("default")))

/* Version of the headers; weir_version() tells the library's. */
#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION_TEXT  "0.1.0"

/* X(NAME, wire name, class, one sentence). The wire name is what weir.v1 and logs print. */
#define WEIR_ERR_LIST(X)                                                                           \
    X(OK, "ok", NONE, "Done.")                                                                     \
    X(MORE, "more", RETRY, "The input ends inside what is being read; give more bytes.")           \
    X(AGAIN, "again", RETRY, "No room right now; try again when the port turns readable.")         \
    X(TIMEOUT, "timeout", RETRY, "The time given for this ran out.")                               \
    X(CLOSED, "closed", CALLER, "It was closed, or is draining before it closes.")                 \
    X(INVALID, "invalid", CALLER, "An argument is outside what the call accepts.")                 \
    X(NAME_INVALID, "name-invalid", CALLER, "A name is not a legal topic name or filter.")         \
    X(NOT_FOUND, "not-found", CALLER, "No such thing is declared.")                                \
    X(EXISTS, "exists", CALLER, "It exists already, with other settings.")                         \
    X(NESTED, "nested", CALLER, "A topic above or below this name is declared; say nested: true.") \
    X(LIMIT, "limit", CALLER, "A named limit was reached.")                                        \
    X(TOO_LARGE, "too-large", CALLER, "It is larger than the limit for its kind.")                 \
    X(OFFSET_OUT_OF_RANGE, "offset-out-of-range", CALLER, "No record has this offset.")            \
    X(NOT_AUTHORIZED, "not-authorized", CALLER, "The principal may not do this.")                  \
    X(NOT_OFFERED, "not-offered", CALLER, "This front end or backend cannot offer that.")          \
    X(EMPTY, "empty", CALLER, "There is nothing to give.")                                         \
    X(PRODUCER_UNKNOWN, "producer-unknown", CALLER,                                                \
      "This producer id was never given out, or has expired; ask for a new one.")                  \
    X(PRODUCER_FENCED, "producer-fenced", CALLER, "A newer epoch of this producer is in force.")   \
    X(OUT_OF_ORDER, "out-of-order", CALLER,                                                        \
      "The batch's sequence does not follow the last one; send what is missing first.")            \
    X(DUPLICATE, "duplicate", CALLER,                                                              \
      "The batch was stored before, too long ago to tell where; do not send it again.")            \
    X(LEASE_LOST, "lease-lost", CALLER,                                                            \
      "The lease or the generation was over: the records may be with another member.")             \
    X(QUEUE_FULL, "queue-full", CALLER,                                                            \
      "The queue has all it may have (max_records, max_bytes); try again when some are settled.")  \
    X(MALFORMED, "malformed", PEER, "The bytes do not follow their format.")                       \
    X(UNSUPPORTED, "unsupported", PEER, "The bytes are well formed but not supported here.")       \
    X(VERSION, "version", PEER, "It was made for a version that does not fit this one.")           \
    X(PROTOCOL, "protocol", PEER, "The peer sent what its state does not allow.")                  \
    X(NO_MEMORY, "no-memory", STORAGE, "Memory or a file descriptor could not be had.")            \
    X(IO, "io", STORAGE, "The operating system reported a read or write error.")                   \
    X(DISK_FULL, "disk-full", STORAGE,                                                             \
      "The disk is full: trim or delete a topic, or free some space; writing resumes by itself.")  \
    X(READ_ONLY, "read-only", STORAGE, "Writing has stopped; see the log and /readyz.")            \
    X(DAMAGED, "damaged", STORAGE, "Stored bytes fail their checksum or their order.")             \
    X(LOCKED, "locked", STORAGE, "Another gateway owns this data directory.")                      \
    X(FENCED, "fenced", STORAGE, "Another gateway has taken this data directory over.")

typedef enum weir_err {
#define WEIR_ERR_ENUM(name, wire, class, text) WEIR_##name,
    WEIR_ERR_LIST(WEIR_ERR_ENUM)
#undef WEIR_ERR_ENUM
        WEIR_ERR_COUNT
} weir_err;

typedef enum weir_err_class {
    WEIR_CLASS_NONE,
    WEIR_CLASS_RETRY,  /* nothing is wrong: the same call later may succeed */
    WEIR_CLASS_CALLER, /* the request is wrong; the state did not change */
    WEIR_CLASS_PEER,   /* bytes from outside are wrong */
    WEIR_CLASS_STORAGE /* disk, memory or ownership: see weir_fault and the log */
} weir_err_class;

/* The wire name ("offset-out-of-range"), the sentence, the class. Any thread. Never NULL. */
WEIR_API const char *weir_err_name(weir_err err);
WEIR_API const char *weir_err_text(weir_err err);
WEIR_API weir_err_class weir_err_class_of(weir_err err);

/* "0.1.0": of the library that runs. Any thread. */
WEIR_API const char *weir_version(void);

/* A span of bytes. ptr NULL is null (absent); ptr set with len 0 is empty. They are not the same.
 */
typedef struct weir_bytes {
    const uint8_t *ptr;
    size_t len;
} weir_bytes;

#define WEIR_BYTES(array)  ((weir_bytes){(const uint8_t *)(array), sizeof(array)})
#define WEIR_TEXT(literal) ((weir_bytes){(const uint8_t *)(literal), sizeof(literal) - 1})
#define WEIR_BYTES_NULL    ((weir_bytes){NULL, 0})

WEIR_API weir_bytes weir_bytes_of(const char *text);        /* borrows; NULL gives null */
WEIR_API bool weir_bytes_equal(weir_bytes a, weir_bytes b); /* null equals only null */

/* What a person waiting for open, recover or configure is told. `text` is one sentence that says
 * what to do next; `file` and `line`/`position` are set where they are known. */
#define WEIR_FAULT_TEXT_MAX 512
#define WEIR_FAULT_FILE_MAX 256
typedef struct weir_fault {
    weir_err err;
    int os_errno;      /* 0 where the operating system had no part in it */
    uint32_t line;     /* 1-based, 0 unknown */
    uint32_t column;   /* 1-based, 0 unknown */
    uint64_t position; /* byte position in `file`, where line is 0 */
    char file[WEIR_FAULT_FILE_MAX];
    char text[WEIR_FAULT_TEXT_MAX];
} weir_fault;

/* How safe a record is. The level an acknowledgement tells is one of these. */
typedef enum weir_level {
    WEIR_LEVEL_DEFAULT = 0,    /* "the topic's own" in a request; never in an answer */
    WEIR_LEVEL_MEMORY = 1,     /* on receipt; a kill loses what was not yet written */
    WEIR_LEVEL_OS = 2,         /* after the write: survives a killed process */
    WEIR_LEVEL_DISK = 3,       /* after fdatasync: survives a power cut */
    WEIR_LEVEL_REPLICATED = 4, /* a backend's quorum; refused until one offers it */
    WEIR_LEVEL_COUNT
} weir_level;

WEIR_API const char *weir_level_name(weir_level level);                 /* "disk" */
WEIR_API weir_err weir_level_parse(weir_bytes text, weir_level *level); /* INVALID */

#ifdef __cplusplus
}
#endif

#endif
