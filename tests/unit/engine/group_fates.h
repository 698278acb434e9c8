/* tests/unit/engine/group_fates.h - stories in tests: asked, and as text. */
#ifndef WEIR_TESTS_ENGINE_GROUP_FATES_H
#define WEIR_TESTS_ENGINE_GROUP_FATES_H

#include "tests/unit/engine/group.h"

static inline weir_completion why_begin(weir_port *port, const char *topic, uint32_t partition,
                                        int64_t offset, const char *group)
{
    weir_bytes one = group == NULL ? WEIR_BYTES_NULL : weir_bytes_of(group);
    assert_int_equal(weir_port_why(port, weir_bytes_of(topic), partition, offset, one, NULL, 15),
                     WEIR_OK);
    return next_of(port, WEIR_COMPLETION_WHY);
}

/* Drop it. */
static inline weir_completion why_of(weir_port *port, const char *topic, int64_t offset)
{
    weir_completion done = why_begin(port, topic, 0, offset, NULL);
    assert_int_equal(done.err, WEIR_OK);
    return done;
}

typedef struct story {
    char text[4096]; /* "event/member@origin " of each line */
    char stands[64]; /* of the first group */
    uint32_t count;
    uint64_t left_out;
    weir_fate last;
} story;

/* What the story says, and nothing that must not be: times fall never, every line has its words. */
static inline void story_read(const weir_why *why, story *to)
{
    memset(to, 0, sizeof(*to));
    to->count = why->count;
    to->left_out = why->left_out;
    for (uint32_t i = 0; i < why->count; i++) {
        const weir_fate_line *line = &why->lines[i];
        size_t at = strlen(to->text);
        assert_true(i == 0 || line->time_ms >= why->lines[i - 1].time_ms);
        assert_true(line->group.len > 0 && line->event.len > 0);
        snprintf(to->text + at, sizeof(to->text) - at, "%.*s/%.*s@%.*s ", (int)line->event.len,
                 line->event.ptr, (int)line->member.len, line->member.ptr, (int)line->origin.len,
                 line->origin.ptr);
        to->last = line->fate != WEIR_FATE_PENDING ? line->fate : to->last;
    }
    if (why->standing_count > 0) {
        snprintf(to->stands, sizeof(to->stands), "%s", weir_standing_name(why->standings[0].kind));
    }
}

static inline story story_of(weir_port *port, const char *topic, int64_t offset)
{
    story told;
    weir_completion done = why_of(port, topic, offset);
    story_read(&done.why, &told);
    assert_false(done.why.damaged);
    weir_completion_drop(&done);
    return told;
}

static inline void story_is(weir_port *port, const char *topic, int64_t offset, const char *text,
                            const char *stands)
{
    story told = story_of(port, topic, offset);
    assert_string_equal(told.text, text);
    assert_string_equal(told.stands, stands);
}

/* Lines of one event. */
static inline uint32_t story_events(const weir_why *why, const char *event)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < why->count; i++) {
        count += weir_bytes_equal(why->lines[i].event, weir_bytes_of(event)) ? 1 : 0;
    }
    return count;
}

#endif
