/* Packet ids in flight: unique, from 1 to 65,535, and no memory while there are none. */
#include "adapters/proto/mqtt/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint16_t take(mqtt_window *window)
{
    uint16_t id = 0;
    assert_int_equal(weir_mqtt_window_take(window, &id), WEIR_OK);
    assert_int_not_equal(id, 0);
    return id;
}

static void ids_rise_and_wrap_past_0(void **state)
{
    mqtt_window window = {0};
    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        uint16_t id = take(&window);
        assert_int_equal(id, i % 65535 + 1);
        assert_true(weir_mqtt_window_release(&window, id));
        assert_null(window.more); /* [W2] */
    }
}

static void no_id_is_given_twice_while_it_is_in_flight(void **state) /* [W1] */
{
    static uint8_t in_flight[65536];
    mqtt_window window = {0};
    uint32_t chance = 12345, count = 0;
    (void)state;
    memset(in_flight, 0, sizeof(in_flight));
    for (uint32_t i = 0; i < 400000; i++) {
        chance = chance * 1664525 + 1013904223;
        uint16_t any = (uint16_t)(chance >> 16);
        bool mine = in_flight[any] != 0;
        assert_int_equal(weir_mqtt_window_release(&window, any), mine);
        count -= mine;
        in_flight[any] = 0;
        if (count < 1000 && window.span < 65535) {
            uint16_t id = take(&window);
            assert_int_equal(in_flight[id], 0);
            in_flight[id] = 1;
            count++;
        }
        assert_int_equal(window.count, count);
    }
    weir_mqtt_window_fini(&window);
}

static void all_ids_can_be_in_flight_and_not_one_more(void **state)
{
    mqtt_window window = {0};
    uint16_t id = 77;
    (void)state;
    for (uint32_t i = 0; i < 65535; i++) {
        take(&window);
    }
    assert_int_equal(weir_mqtt_window_take(&window, &id), WEIR_LIMIT);
    assert_int_equal(id, 77);
    assert_true(weir_mqtt_window_release(&window, 2));
    assert_int_equal(weir_mqtt_window_take(&window, &id), WEIR_LIMIT); /* 1 is still out */
    assert_true(weir_mqtt_window_release(&window, 1));
    assert_int_equal(take(&window), 1);
    assert_int_equal(take(&window), 2);
    weir_mqtt_window_fini(&window);
}

static void an_id_taken_back_is_the_next_one(void **state)
{
    mqtt_window window = {0};
    (void)state;
    assert_int_equal(take(&window), 1);
    assert_int_equal(take(&window), 2);
    weir_mqtt_window_untake(&window);
    assert_int_equal(take(&window), 2);
    weir_mqtt_window_untake(&window);
    weir_mqtt_window_untake(&window);
    assert_int_equal(window.count, 0);
    assert_int_equal(take(&window), 1);
    assert_true(weir_mqtt_window_release(&window, 1));
    assert_false(weir_mqtt_window_release(&window, 1));
    assert_false(weir_mqtt_window_release(&window, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_rise_and_wrap_past_0),
        cmocka_unit_test(no_id_is_given_twice_while_it_is_in_flight),
        cmocka_unit_test(all_ids_can_be_in_flight_and_not_one_more),
        cmocka_unit_test(an_id_taken_back_is_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
