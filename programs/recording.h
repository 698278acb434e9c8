/* programs/recording.h - what `weir replay` plays: records one after another, from the log of a
 * gateway or from a file.
 *
 * Happy path: open, next until EMPTY, rewind for another round, close. A recording has its end when it
 * is opened: what is published meanwhile is not in it. Main thread only. */
#ifndef WEIR_PROGRAMS_RECORDING_H
#define WEIR_PROGRAMS_RECORDING_H

#include "programs/position.h"

typedef struct weir_recorded {
    weir_bytes name;  /* the full name; null: the file tells none */
    weir_bytes topic; /* null: recorded by its name alone */
    weir_bytes key;   /* null: none */
    weir_bytes value; /* null: a tombstone */
    weir_header *headers;
    uint32_t header_count;
    bool placed; /* partition and offset are known */
    uint32_t partition;
    int64_t offset;
    bool timed;      /* time_ms is known */
    int64_t time_ms; /* Unix */
} weir_recorded;

enum { WEIR_RESUME_MAX = 128 };

typedef struct weir_recording weir_recording;
typedef struct weir_recording_ops {
    /* As told below. */
    weir_err (*next)(weir_recording *recording, const weir_recorded **record, weir_fault *fault);
    weir_err (*rewind)(weir_recording *recording, weir_fault *fault);
    double (*share)(const weir_recording *recording);
    void (*resume)(const weir_recording *recording, uint64_t before, char text[WEIR_RESUME_MAX]);
    void (*close)(weir_recording *recording);
} weir_recording_ops;
struct weir_recording {
    const weir_recording_ops *ops; /* first in each kind */
    uint64_t lost;                 /* offsets that were passed over so far: they are damaged */
};

/* The next record; its spans hold until the next call. EMPTY: that was all. */
static inline weir_err weir_recording_next(weir_recording *recording, const weir_recorded **record,
                                           weir_fault *fault)
{
    return recording->ops->next(recording, record, fault);
}
/* Begins anew. INVALID: it can be read only once. */
static inline weir_err weir_recording_rewind(weir_recording *recording, weir_fault *fault)
{
    return recording->ops->rewind(recording, fault);
}
/* How much of it was given, 0 to 1; below 0: nobody knows. */
static inline double weir_recording_share(const weir_recording *recording)
{
    return recording->ops->share(recording);
}
/* The options that begin with the newest record given, of which `before` came before it. */
static inline void weir_recording_resume(const weir_recording *recording, uint64_t before,
                                         char text[WEIR_RESUME_MAX])
{
    recording->ops->resume(recording, before, text);
}
/* NULL is harmless. */
static inline void weir_recording_close(weir_recording *recording)
{
    if (recording != NULL) {
        recording->ops->close(recording);
    }
}

/* ---- From a gateway ----------------------------------------------------------------------------
 */

typedef struct weir_recording_range {
    const char *const *sources; /* topics' names (all of such a topic), or filters */
    size_t source_count;
    const char *from_text; /* as it was given, for resume */
    weir_where from;
    weir_where until; /* the first record that is not wanted; END: all that is there now */
    bool talk;
} weir_recording_range;

/* The records in the order of their times; those of one partition in its order. The client is the
 * recording's alone until it is closed, and closed by the caller. NOT_FOUND: no declared topic has
 * such records. EMPTY: there are none in this range. */
weir_err weir_recording_of_log(weir_client *client, const weir_recording_range *range,
                               weir_recording **recording, weir_fault *fault);

/* ---- From a file -------------------------------------------------------------------------------
 */

typedef struct weir_recording_file {
    const char *path; /* "-": standard input */
    const char
        *name_template;     /* "site/{device_id}": names from members; NULL: `weir sub -o ndjson` */
    const char *time_field; /* "ts", or "a.b": the member with the time; NULL: none, or as sub */
    bool values;            /* lines that are no such records are values without a name */
} weir_recording_file;

/* NDJSON. With a template or a time field each line is a value. Without, lines are as `weir sub -o
 * ndjson` prints them, and are the records they show; where `values` is set and the first line is no
 * such record, they are values as well. Faults name file and line. */
weir_err weir_recording_of_file(const weir_recording_file *file, weir_recording **recording,
                                weir_fault *fault);

#endif
