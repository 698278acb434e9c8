/* programs/topic.h - a topic's settings on a command line, and how two of one topic differ, in words. */
#ifndef WEIR_PROGRAMS_TOPIC_H
#define WEIR_PROGRAMS_TOPIC_H

#include "weir/port.h"

#include "programs/commands.h"

enum { WEIR_TOPIC_DIFFERENCE_MAX = 256 };

/* --cleanup, --retention-ms and the other settings of the command line; what is not given is 0. False,
 * with the sentence printed, when one does not fit. */
bool weir_topic_settings_read(const weir_arguments *arguments, weir_topic_options *options);

/* "partitions 2 (asked: 3), durability disk (asked: os)"; empty when they agree. */
void weir_topic_difference(const weir_topic_options *is, const weir_topic_options *asked,
                           char text[WEIR_TOPIC_DIFFERENCE_MAX]);
/* What the command line did not ask for is as it is. */
void weir_topic_asked_fill(const weir_arguments *arguments, const weir_topic_options *is,
                           weir_topic_options *asked);
/* What `weir topic alter` is told to make it so: " --partitions 3 --durability os". False: some of it never
 * changes. */
bool weir_topic_alter_flags(const weir_topic_options *is, const weir_topic_options *asked,
                            char flags[WEIR_TOPIC_DIFFERENCE_MAX]);

/* A queue was asked to be compacted: says what there is instead. */
void weir_topic_compact_say(const char *queue);

#endif
