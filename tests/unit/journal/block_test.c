/* The journal's bytes: what is written is read, and nothing else is. */
#include "tests/unit/journal/support.h"

enum { ID = 77, GENERATION = 5 };

/* Two units of two entries each, in `out`; the span is returned. */
static uint32_t block_make(uint8_t out[WEIR_JOURNAL_PAGE_BYTES], uint64_t id, uint64_t generation)
{
    uint8_t *at = out + WEIR_JOURNAL_BLOCK_HEAD_BYTES;
    for (uint64_t number = 10; number < 12; number++) {
        uint8_t *entries = at + WEIR_JOURNAL_UNIT_HEAD_BYTES;
        weir_journal_entry_encode(entries, 3, 1, 4);
        memcpy(entries + 8, "abcd", 4);
        weir_journal_entry_encode(entries + 12, 4, 2, 0);
        weir_journal_unit unit = {number, 9, -5, {entries, 20}};
        weir_journal_unit_encode(at, &unit, 2);
        at += WEIR_JOURNAL_UNIT_HEAD_BYTES + 20;
    }
    weir_journal_block block = {
        .sequence = 8,
        .first_unit = 10,
        .unit_count = 2,
        .durable = 9,
        .units = {out + WEIR_JOURNAL_BLOCK_HEAD_BYTES,
                  (size_t)(at - out) - WEIR_JOURNAL_BLOCK_HEAD_BYTES},
    };
    return weir_journal_block_encode(out, id, generation, &block);
}

static void a_block_comes_back_with_its_units_and_entries(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_JOURNAL_PAGE_BYTES];
    weir_journal_block block;
    weir_journal_unit unit;
    weir_journal_entry entry;
    assert_int_equal(block_make(bytes, ID, GENERATION), sizeof(bytes));
    assert_int_equal(weir_journal_block_decode(WEIR_BYTES(bytes), ID, GENERATION, &block), WEIR_OK);
    assert_int_equal(block.sequence, 8);
    assert_int_equal(block.first_unit, 10);
    assert_int_equal(block.unit_count, 2);
    assert_int_equal(block.durable, 9);
    assert_int_equal(block.span_bytes, WEIR_JOURNAL_PAGE_BYTES);
    assert_int_equal(weir_journal_unit_next(&block.units, &unit), WEIR_OK);
    assert_int_equal(unit.number, 10);
    assert_int_equal(unit.term, 9);
    assert_int_equal(unit.engine_ms, -5);
    assert_int_equal(weir_journal_entry_next(&unit.entries, &entry), WEIR_OK);
    assert_int_equal(entry.type, 3);
    assert_int_equal(entry.version, 1);
    assert_true(weir_bytes_equal(entry.body, WEIR_TEXT("abcd")));
    assert_int_equal(weir_journal_entry_next(&unit.entries, &entry), WEIR_OK);
    assert_int_equal(entry.version, 2);
    assert_int_equal(entry.body.len, 0);
    assert_int_equal(weir_journal_entry_next(&unit.entries, &entry), WEIR_EMPTY);
    assert_int_equal(weir_journal_unit_next(&block.units, &unit), WEIR_OK);
    assert_int_equal(weir_journal_unit_next(&block.units, &unit), WEIR_EMPTY);
}

static void a_block_of_another_journal_or_generation_is_not_taken(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_JOURNAL_PAGE_BYTES];
    weir_journal_block block = {.sequence = 99};
    (void)block_make(bytes, ID, GENERATION);
    weir_bytes in = WEIR_BYTES(bytes);
    assert_int_equal(weir_journal_block_decode(in, ID + 1, GENERATION, &block), WEIR_DAMAGED);
    assert_int_equal(weir_journal_block_decode(in, ID, GENERATION - 1, &block), WEIR_DAMAGED);
    assert_int_equal(block.sequence, 99); /* [B2] */
}

static void a_block_cut_anywhere_asks_for_more(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_JOURNAL_PAGE_BYTES];
    weir_journal_block block;
    (void)block_make(bytes, ID, GENERATION);
    for (size_t cut = 0; cut < sizeof(bytes); cut++) {
        assert_int_equal(
            weir_journal_block_decode((weir_bytes){bytes, cut}, ID, GENERATION, &block), WEIR_MORE);
    }
}

static void every_flipped_bit_of_a_block_is_found(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_JOURNAL_PAGE_BYTES];
    weir_journal_block block;
    (void)block_make(bytes, ID, GENERATION);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(weir_journal_block_decode(WEIR_BYTES(bytes), ID, GENERATION, &block),
                             WEIR_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Seals what stands there, as a writer with a bug would. */
static void seal(uint8_t bytes[WEIR_JOURNAL_PAGE_BYTES])
{
    weir_put_u32(bytes + 4, weir_crc32c(0, bytes + 8, WEIR_JOURNAL_PAGE_BYTES - 8));
}

static void lengths_that_do_not_fit_are_damage_behind_a_good_checksum(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_JOURNAL_PAGE_BYTES];
    weir_journal_block block;
    const size_t at[] = {8, 12, 40, 56, 60, 64, 64 + 8};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        const uint32_t values[] = {0, 1, 31, 51, 53, 4095, 8192, 0x7fffffff, 0xffffffff};
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            (void)block_make(bytes, ID, GENERATION);
            if (weir_get_u32(bytes + at[i]) == values[v]) {
                continue;
            }
            weir_put_u32(bytes + at[i], values[v]);
            seal(bytes);
            assert_int_equal(weir_journal_block_decode(WEIR_BYTES(bytes), ID, GENERATION, &block),
                             WEIR_DAMAGED);
        }
    }
}

static void entries_that_do_not_fit_are_damage(void **state)
{
    (void)state;
    uint8_t bytes[12] = {0, 1, 1, 0, 0, 0, 0, 4, 'a', 'b', 'c', 'd'};
    weir_journal_entry entry;
    weir_bytes rest;
    for (size_t cut = 1; cut < sizeof(bytes); cut++) {
        rest = (weir_bytes){bytes, cut};
        assert_int_equal(weir_journal_entry_next(&rest, &entry), WEIR_DAMAGED);
        assert_int_equal(rest.len, cut);
    }
    rest = WEIR_BYTES(bytes);
    assert_int_equal(weir_journal_entry_next(&rest, &entry), WEIR_OK);
    assert_int_equal(rest.len, 0);
    bytes[3] = 1; /* a flag nobody knows */
    rest = WEIR_BYTES(bytes);
    assert_int_equal(weir_journal_entry_next(&rest, &entry), WEIR_DAMAGED);
    bytes[3] = 0;
    bytes[4] = 0xff; /* a length that would wrap */
    assert_int_equal(weir_journal_entry_next(&rest, &entry), WEIR_DAMAGED);
}

static void a_head_comes_back_and_every_flipped_bit_is_found(void **state)
{
    (void)state;
    uint8_t page[WEIR_JOURNAL_PAGE_BYTES];
    weir_journal_head put = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    weir_journal_head got;
    weir_journal_head_encode(&put, page);
    assert_int_equal(weir_journal_head_decode(WEIR_BYTES(page), &got), WEIR_OK);
    assert_memory_equal(&put, &got, sizeof(put));
    for (size_t bit = 0; bit < sizeof(page) * 8; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(weir_journal_head_decode(WEIR_BYTES(page), &got), WEIR_DAMAGED);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(weir_journal_head_decode((weir_bytes){page, sizeof(page) - 1}, &got),
                     WEIR_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_comes_back_with_its_units_and_entries),
        cmocka_unit_test(a_block_of_another_journal_or_generation_is_not_taken),
        cmocka_unit_test(a_block_cut_anywhere_asks_for_more),
        cmocka_unit_test(every_flipped_bit_of_a_block_is_found),
        cmocka_unit_test(lengths_that_do_not_fit_are_damage_behind_a_good_checksum),
        cmocka_unit_test(entries_that_do_not_fit_are_damage),
        cmocka_unit_test(a_head_comes_back_and_every_flipped_bit_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
