/* adapters/proto/mqtt/window.c - which packet ids are in flight to a client.
 *
 *   id      base+1                     base+span        ids are 1 to 65,535, and wrap
 *   bit     [1][0][0][1][1] ... [1]                     1: in flight; the first is always 1
 *           ^start, in a ring of `capacity` bits
 *
 * Taking gives the id behind the newest; releasing clears a bit and moves the start over what is
 * clear. A client that acknowledges in order keeps the span as small as what is in flight. One that
 * leaves an old id unanswered while it answers newer ones makes the span grow; at 65,535 nothing
 * more is given out until the old one is answered.
 *
 * [W1] An id in flight is never given out again. [W2] Empty, the window owns no memory. */
#include "adapters/proto/mqtt/state.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_INLINE_BITS = 64, WINDOW_IDS = 65535 };

static uint64_t *bits_of(mqtt_window *window)
{
    return window->more != NULL ? window->more : &window->inline_bits;
}

static uint32_t capacity_of(const mqtt_window *window)
{
    return window->more != NULL ? window->capacity : WINDOW_INLINE_BITS;
}

static bool bit_get(mqtt_window *window, uint32_t index)
{
    uint32_t place = (window->start + index) & (capacity_of(window) - 1);
    return (bits_of(window)[place / 64] >> (place % 64) & 1) != 0;
}

static void bit_flip(mqtt_window *window, uint32_t index)
{
    uint32_t place = (window->start + index) & (capacity_of(window) - 1);
    bits_of(window)[place / 64] ^= (uint64_t)1 << (place % 64);
}

/* Doubles the ring and lays the bits out from 0. */
static weir_err window_grow(mqtt_window *window)
{
    uint32_t capacity = capacity_of(window) * 2;
    uint64_t *more = calloc(capacity / 64, sizeof(*more));
    if (more == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < window->span; i++) {
        more[i / 64] |= (uint64_t)bit_get(window, i) << (i % 64);
    }
    free(window->more);
    window->more = more;
    window->capacity = capacity;
    window->start = 0;
    return WEIR_OK;
}

weir_err weir_mqtt_window_take(mqtt_window *window, uint16_t *id)
{
    if (window->span == WINDOW_IDS) {
        return WEIR_LIMIT;
    }
    if (window->span == capacity_of(window)) {
        weir_err err = window_grow(window);
        if (err != WEIR_OK) {
            return err;
        }
    }
    bit_flip(window, window->span);
    *id = (uint16_t)((window->base + window->span) % WINDOW_IDS + 1);
    window->span++;
    window->count++;
    return WEIR_OK;
}

uint32_t weir_mqtt_window_index(const mqtt_window *window, uint16_t id)
{
    return ((uint32_t)id - 1 + WINDOW_IDS - window->base) % WINDOW_IDS;
}

bool weir_mqtt_window_release(mqtt_window *window, uint16_t id)
{
    uint32_t index = weir_mqtt_window_index(window, id);
    if (id == 0 || index >= window->span || !bit_get(window, index)) {
        return false;
    }
    bit_flip(window, index);
    window->count--;
    while (window->span > 0 && !bit_get(window, 0)) {
        window->start = (window->start + 1) & (capacity_of(window) - 1);
        window->base = (uint16_t)((window->base + 1) % WINDOW_IDS);
        window->span--;
    }
    if (window->span == 0) {
        weir_mqtt_window_fini(window); /* [W2] */
    }
    return true;
}

void weir_mqtt_window_untake(mqtt_window *window)
{
    bit_flip(window, window->span - 1);
    window->span--;
    window->count--;
    if (window->span == 0) {
        weir_mqtt_window_fini(window); /* [W2] */
    }
}

void weir_mqtt_window_fini(mqtt_window *window)
{
    free(window->more);
    window->more = NULL;
    window->capacity = 0;
    window->inline_bits = 0;
    window->start = 0;
    window->span = 0;
    window->count = 0;
}
