/* tests/fuzz/settlement_fuzz.c - any bytes as a page of a settlement, and as changes to it.
 *
 * The first two bytes say how many of the others are the page. What is read of them is written, and
 * that must be read again as the same bytes. What is left are changes: each is made, and afterwards
 * the settlement must agree with itself. */
#include "core/engine/settlement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHANGE_BYTES = 8, NUMBER = 3, NOW = 1000 };

static void fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    abort();
}

static weir_settlement *empty(void)
{
    weir_settlement *settlement = NULL;
    if (weir_settlement_create(0, NULL, &settlement) != WEIR_OK) {
        fail("no memory");
    }
    weir_settlement_fresh_raise(settlement, (NUMBER + 1) * WEIR_SETTLEMENT_PAGE);
    return settlement;
}

static void again(weir_settlement_page *page)
{
    weir_buffer first = {0}, second = {0};
    weir_settlement *other = empty();
    weir_settlement_page *read = NULL;
    if (weir_settlement_page_encode(page, &first) != WEIR_OK ||
        weir_settlement_page_decode(other, page->number, 1, weir_buffer_bytes(&first), &read) !=
            WEIR_OK ||
        weir_settlement_page_encode(read, &second) != WEIR_OK ||
        !weir_bytes_equal(weir_buffer_bytes(&first), weir_buffer_bytes(&second))) {
        fail("what was encoded is not read again");
    }
    weir_settlement_destroy(other);
    weir_buffer_fini(&first);
    weir_buffer_fini(&second);
}

/* The sums are those of the runs, and every lease has its records. */
static void agree(weir_settlement *settlement)
{
    weir_settlement_run run;
    weir_lease lease;
    uint64_t unsettled = 0, leased = 0, held = 0;
    uint32_t position = 0;
    for (int64_t at = 0; weir_settlement_next(settlement, at, &run); at = run.last + 1) {
        uint64_t records = (uint64_t)(run.last - run.first + 1);
        if (run.first < at || run.last < run.first) {
            fail("runs do not rise");
        }
        unsettled += records;
        leased += run.state == WEIR_RECORD_LEASED ? records : 0;
        if (run.state == WEIR_RECORD_LEASED &&
            !weir_settlement_lease(settlement, run.lease, &lease)) {
            fail("a record is under a lease that is not there");
        }
    }
    while (weir_settlement_lease_walk(settlement, &position, &lease)) {
        held += lease.count;
    }
    if (unsettled != weir_settlement_unsettled(settlement) ||
        leased != weir_settlement_leased(settlement) || held != leased) {
        fail("the sums are not those of the runs");
    }
    if (weir_settlement_due(settlement, 0, NOW, &run) !=
        (weir_settlement_due_at(settlement) <= NOW)) {
        fail("what is due is not found");
    }
}

/* kind u8 | unit u8 | first u16 | records u16 | number u16 */
static void change(weir_settlement *settlement, const uint8_t *at)
{
    weir_lease lease = {.number = 1u + at[6], .epoch = 1, .deadline = at[7]};
    weir_settlement_change what = {.to = (weir_record_state)(at[0] % 3),
                                   .unit = 1u + at[1],
                                   .lease = &lease,
                                   .until = (at[0] & 0x40) != 0 ? at[7] * 10 : 0,
                                   .failed = (at[0] & 0x80) != 0};
    int64_t first = NUMBER * WEIR_SETTLEMENT_PAGE - 100 + (at[2] << 8 | at[3]) % 8192;
    int64_t last = first + (at[4] << 8 | at[5]) % 6000;
    weir_settlement_reserve_begin(settlement);
    if (weir_settlement_reserve(settlement, first, last, &what) == WEIR_OK) {
        weir_settlement_apply(settlement, first, last, &what);
    }
    if ((at[0] & 0x20) != 0 &&
        weir_settlement_hold(settlement, first, last, (at[0] & 0x10) != 0) != WEIR_OK) {
        fail("no memory");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_settlement *settlement = empty();
    weir_settlement_page *page = NULL;
    size_t bytes = size >= 2 ? (size_t)(data[0] << 8 | data[1]) : 0;
    size_t at = 2 + bytes;
    if (size >= at && weir_settlement_page_decode(
                          settlement, NUMBER, 7, (weir_bytes){data + 2, bytes}, &page) == WEIR_OK) {
        again(page);
    }
    for (; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        change(settlement, data + at);
    }
    agree(settlement);
    uint32_t position = 0;
    while ((page = weir_settlement_page_walk(settlement, &position)) != NULL) {
        again(page);
    }
    weir_settlement_destroy(settlement);
    return 0;
}
