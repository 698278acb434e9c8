/* programs/player.h - plays a recording: each record at its time, published, printed or counted. */
#ifndef WEIR_PROGRAMS_PLAYER_H
#define WEIR_PROGRAMS_PLAYER_H

#include "programs/recording.h"
#include "programs/say.h"
#include "programs/schedule.h"

enum {
    WEIR_PLAYER_HEADERS_MAX = 4096,
    WEIR_PLAYER_ORIGIN_HEADERS = 4,
    WEIR_PLAYER_NAME_BYTES_MAX = 65535,
};

typedef enum weir_sink {
    WEIR_SINK_PRINT,
    WEIR_SINK_TOPIC, /* publish into one topic */
    WEIR_SINK_NAME,  /* publish under the recorded names */
    WEIR_SINK_NONE,  /* only tell how long it takes */
} weir_sink;

typedef struct weir_player {
    weir_sink sink;
    const char *into;   /* WEIR_SINK_TOPIC */
    const char *prefix; /* WEIR_SINK_NAME: "" or what stands before the recorded name */
    char **declared;    /* topics of the gateway, sorted; WEIR_SINK_NAME */
    uint32_t declared_count;
    bool plain;
    uint8_t attributes;
    const char *format;
    bool newline;
    weir_output output;
    bool talk;
    bool progress;
    bool live_said;
    weir_schedule schedule;
    uint64_t skip;
    uint64_t resume;     /* records of the first round that were played before, behind `skip` */
    uint64_t count;      /* of each round; 0: all */
    uint64_t rounds;     /* 0: until stopped */
    weir_client *reader; /* NULL: the recording is a file */
    weir_client *writer; /* NULL: nothing is published */
    weir_recording *recording;

    uint64_t round;
    uint64_t given; /* records of this round, those left out included */
    uint64_t whole; /* records of a whole round; known behind the first */
    uint64_t played;
    uint64_t bytes;
    uint64_t confirmed;
    uint64_t failed;
    weir_err first_err;
    bool draining;
    int64_t began_us;
    int64_t shown_us;
    int64_t due_us;
    int64_t late_us;
    int64_t late_us_max;
    int64_t first_ms; /* of the recording, in a dry run */
    int64_t last_ms;
    char name[WEIR_PLAYER_NAME_BYTES_MAX + 1];
    weir_header headers[WEIR_PLAYER_HEADERS_MAX + WEIR_PLAYER_ORIGIN_HEADERS];
    char digits[3][24];
} weir_player;

/* Plays all rounds; what was sent last is not waited for. AGAIN: it was stopped (weir_player_stop, or
 * the gateway is closing), and the newest record was not played. Else the recording's error with its
 * fault, or the connection's without one. Main thread only. */
weir_err weir_player_play(weir_player *own, weir_fault *fault);
/* From a signal handler: play ends before its next record. */
void weir_player_stop(int number);
/* One line of how it goes, on a terminal; `last` ends it. */
void weir_player_progress(weir_player *own, bool last);
/* Whether own->declared has the topic. */
bool weir_player_declared(const weir_player *own, const char *topic);
/* Fills own->declared from the gateway of own->writer. */
weir_err weir_player_topics_load(weir_player *own);
/* For weir_client_on_result; arg is the player. */
void weir_player_result(void *arg, const weir_client_result *result);
/* Monotonic microseconds. */
int64_t weir_player_now_us(void);

#endif
