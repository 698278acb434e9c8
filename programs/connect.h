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

/* Prints the client's sentence about `err` (nothing when it is OK), with `what` in front, and gives
 * the exit code. */
weir_exit weir_client_outcome(const weir_client *client, weir_err err, const char *what);

/* Whether records of some declared topic can have a name that `filter` matches. On an error *stored
 * is true: then nothing is claimed. */
weir_err weir_filter_is_stored(weir_client *client, const char *filter, bool *stored);

/* --quiet was not given. */
bool weir_may_talk(const weir_arguments *arguments);

/* Monotonic milliseconds. */
long long weir_now_ms(void);

#endif
