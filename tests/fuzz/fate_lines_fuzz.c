/* tests/fuzz/fate_lines_fuzz.c - any bytes as a value of `__fates`.
 *
 * Each line that is read is written again, and what was written must be read as the same lines. */
#include "core/engine/fate_lines.h"

#include <stdio.h>
#include <stdlib.h>

/* At most; a letter is told by its topic and two numbers. */
static size_t line_bytes(const weir_fate_told *line)
{
    return WEIR_FATE_LINE_BYTES_MAX + line->reason.len + line->letter.topic.len + 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    abort();
}

/* What names and lines are written from; `next` has one place for each part. */
typedef struct second {
    weir_fate_writer writer;
    weir_buffer bytes;
    int64_t *next;
} second;

/* Parts and members that the first reader knows and the second value does not have yet. */
static void name(second *to, const weir_fate_reader *from)
{
    while (to->writer.parts < from->so_far.parts) {
        const weir_fate_part *part = &from->named[to->writer.parts];
        if (weir_buffer_reserve(&to->bytes, WEIR_FATE_NAMED_BYTES_MAX + part->group.len +
                                                part->topic.len) != WEIR_OK) {
            fail("no memory");
        }
        to->next[to->writer.parts] = 0;
        weir_fate_part_write(&to->writer, part, &to->bytes);
    }
    while (to->writer.members < from->so_far.members) {
        weir_bytes word = from->members[to->writer.members].name;
        weir_bytes origin = from->members[to->writer.members].origin;
        if (weir_buffer_reserve(&to->bytes, WEIR_FATE_NAMED_BYTES_MAX + word.len + origin.len) !=
            WEIR_OK) {
            fail("no memory");
        }
        weir_fate_member_write(&to->writer, word, origin, &to->bytes);
    }
}

static bool same(const weir_fate_told *a, const weir_fate_told *b)
{
    size_t kept =
        a->reason.len < WEIR_FATE_REASON_BYTES_MAX ? a->reason.len : WEIR_FATE_REASON_BYTES_MAX;
    weir_bytes reason = {a->reason.ptr, kept};
    return a->part == b->part && a->member == b->member && a->event == b->event &&
           a->fate == b->fate && a->first == b->first && a->last == b->last &&
           a->time_ms == b->time_ms && a->leased == b->leased && a->failed == b->failed &&
           (a->reason.ptr == NULL) == (b->reason.ptr == NULL) &&
           weir_bytes_equal(reason, b->reason);
}

static void read_again(weir_bytes first, weir_bytes again)
{
    weir_fate_reader one = {.begun = false}, two = {.begun = false};
    weir_fate_told a, b;
    weir_fate_reader_begin(&one, first);
    weir_fate_reader_begin(&two, again);
    while (weir_fate_reader_next(&one, &a) == WEIR_OK) {
        if (weir_fate_reader_next(&two, &b) != WEIR_OK || !same(&a, &b)) {
            fail("a line that was written is not read again");
        }
    }
    if (weir_fate_reader_next(&two, &b) != WEIR_EMPTY) {
        fail("more is read than was written");
    }
    weir_fate_reader_fini(&one);
    weir_fate_reader_fini(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_fate_reader reader = {.begun = false};
    weir_fate_told line;
    second to = {.next = malloc((size + 1) * sizeof(*to.next))};
    if (to.next == NULL) {
        fail("no memory");
    }
    weir_fate_reader_begin(&reader, (weir_bytes){data, size});
    while (weir_fate_reader_next(&reader, &line) == WEIR_OK) {
        name(&to, &reader);
        if (weir_buffer_reserve(&to.bytes, line_bytes(&line)) != WEIR_OK) {
            fail("no memory");
        }
        weir_fate_line_write(&to.writer, &line, &to.next[line.part], &to.bytes);
    }
    read_again((weir_bytes){data, size}, weir_buffer_bytes(&to.bytes));
    weir_fate_reader_fini(&reader);
    weir_buffer_fini(&to.bytes);
    free(to.next);
    return 0;
}
