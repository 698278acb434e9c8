/* programs/connect.h - what every command that talks to a gateway begins and ends with. */
#ifndef WEIR_PROGRAMS_CONNECT_H
#define WEIR_PROGRAMS_CONNECT_H

#include "weir/client.h"

#include "programs/commands.h"
#include "programs/say.h"

/* Connects to --server, or to the socket in the data directory that the arguments, the environment
 * or the configuration name. On failure prints what to do and returns false; *code then is the exit
 * code. */
bool weir_connect(const weir_arguments *arguments, weir_client **client, weir_exit *code);

/* What an operand is, for the words of a complaint about it. */
typedef enum weir_subject {
    WEIR_SUBJECT_TOPIC,  /* a declared topic's name */
    WEIR_SUBJECT_NAME,   /* a full name to publish under */
    WEIR_SUBJECT_FILTER, /* of sub */
    WEIR_SUBJECT_OTHER,  /* no operand: `what` says what was wanted */
} weir_subject;

enum { WEIR_PROBLEM_MAX = 640 };

/* The sentence about `err` in the words of the command line, with `what` in it; where it has none
 * of its own, the gateway's (`sentence`, may be empty) or the error's, with what in front. */
void weir_problem_text(weir_err err, weir_subject subject, const char *what, const char *sentence,
                       char text[WEIR_PROBLEM_MAX]);

/* Prints the sentence about `err` (nothing when it is OK) and gives the exit code. */
weir_exit weir_client_outcome(const weir_client *client, weir_err err, weir_subject subject,
                              const char *what);

/* Says what would keep records under a name, or under what a filter matches: "`weir topic create
 * site` keeps ...", or that no topic can be declared there. */
enum { WEIR_KEEPING_MAX = 384 };
void weir_keeping_text(const char *name, char text[WEIR_KEEPING_MAX]);
/* "declared topics: log, site", or that there is none; empty when nobody tells. */
enum { WEIR_TOPICS_TEXT_MAX = 320 };
void weir_topics_text(weir_client *client, char text[WEIR_TOPICS_TEXT_MAX]);

/* Whether records of the declared topic can have a name that `filter` matches. */
bool weir_operand_reaches(const char *filter, const char *topic);
/* Whether records of some declared topic can have a name that `filter` matches. On an error *stored
 * is true: then nothing is claimed. */
weir_err weir_filter_is_stored(weir_client *client, const char *filter, bool *stored);

/* --quiet was not given. */
bool weir_may_talk(const weir_arguments *arguments);

/* Monotonic milliseconds. */
long long weir_now_ms(void);

#endif
