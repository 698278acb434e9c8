/* programs/topic.h - how two settings of one topic differ, in words. */
#ifndef WEIR_PROGRAMS_TOPIC_H
#define WEIR_PROGRAMS_TOPIC_H

#include "weir/port.h"

enum { WEIR_TOPIC_DIFFERENCE_MAX = 256 };

/* "partitions 2 (asked: 3), durability disk (asked: os)"; empty when they agree. */
void weir_topic_difference(const weir_topic_options *is, const weir_topic_options *asked,
                           char text[WEIR_TOPIC_DIFFERENCE_MAX]);

#endif
