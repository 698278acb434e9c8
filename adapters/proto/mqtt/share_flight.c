/* adapters/proto/mqtt/share_flight.c - which records of shared subscriptions are with the client: a table
 * by packet id, and the topics and partitions that they are from.
 *
 *   flights  [ ][17 -> jobs/0, offset 4, lease 9][18 -> ...][ ][ ]...    open addressing, at most half full
 *                        |
 *   origins          [jobs/0, refs 2]    counted: by flights, answers and the share
 *
 * Ids in flight lie close together, so their places by the low bits do too. Empty, the table owns no
 * memory. It cannot fail but for memory that cannot be had, which is asked for before a record is
 * written. */
#include "adapters/proto/mqtt/share.h"

#include "core/base/assert.h"

#include <stdlib.h>

enum { FLIGHTS_CAPACITY_MIN = 16 };

/* ---- Origins --------------------------------------------------------------------------------- */

void weir_mqtt_origin_drop(mqtt_origin *origin)
{
    if (origin != NULL && --origin->refs == 0) {
        free(origin);
    }
}

mqtt_origin *weir_mqtt_origin_keep(mqtt_origin *origin)
{
    origin->refs++;
    return origin;
}

weir_bytes weir_mqtt_origin_topic(const mqtt_origin *origin)
{
    return (weir_bytes){origin->topic, origin->len};
}

/* ---- Flights: open addressing, by packet id -------------------------------------------------- */

static uint32_t place_of(const struct mqtt_shares *shares, uint16_t id)
{
    uint32_t place = id & (shares->capacity - 1);
    while (shares->flights[place].id != 0 && shares->flights[place].id != id) {
        place = (place + 1) & (shares->capacity - 1);
    }
    return place;
}

/* At most half full, so that ways are short. */
weir_err weir_mqtt_flights_room(struct mqtt_shares *shares)
{
    if ((shares->count + 1) * 2 <= shares->capacity) {
        return WEIR_OK;
    }
    struct mqtt_shares more = {.capacity = shares->capacity == 0 ? FLIGHTS_CAPACITY_MIN
                                                                 : shares->capacity * 2};
    more.flights = calloc(more.capacity, sizeof(more.flights[0]));
    if (more.flights == NULL) {
        return WEIR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < shares->capacity; i++) {
        if (shares->flights[i].id != 0) {
            more.flights[place_of(&more, shares->flights[i].id)] = shares->flights[i];
        }
    }
    free(shares->flights);
    shares->flights = more.flights;
    shares->capacity = more.capacity;
    return WEIR_OK;
}

void weir_mqtt_flight_add(struct mqtt_shares *shares, const mqtt_flight *flight)
{
    uint32_t place = place_of(shares, flight->id);
    WEIR_ASSERT(shares->flights[place].id ==
                0); /* an id in flight is never given out again: [W1] */
    shares->flights[place] = *flight;
    shares->count++;
    flight->share->flights++;
}

mqtt_flight *weir_mqtt_flight_find(const struct mqtt_shares *shares, uint16_t id)
{
    if (shares == NULL || shares->count == 0 || id == 0) {
        return NULL;
    }
    uint32_t place = place_of(shares, id);
    return shares->flights[place].id == id ? &shares->flights[place] : NULL;
}

const mqtt_flight *weir_mqtt_flight_oldest(const weir_mqtt_session *session)
{
    const struct mqtt_shares *shares = session->shares;
    const mqtt_flight *oldest = NULL;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < shares->capacity; i++) {
        const mqtt_flight *flight = &shares->flights[i];
        bool leased = flight->id != 0 && flight->share != NULL && flight->lease != 0;
        uint32_t index = leased ? weir_mqtt_window_index(&session->window, flight->id) : least;
        if (index < least) {
            least = index;
            oldest = flight;
        }
    }
    return oldest;
}

/* Those behind the hole that would not be found any more move into it. */
void weir_mqtt_flight_remove(struct mqtt_shares *shares, mqtt_flight *flight)
{
    uint32_t mask = shares->capacity - 1;
    uint32_t hole = (uint32_t)(flight - shares->flights);
    if (flight->share != NULL) {
        flight->share->flights--;
    }
    weir_mqtt_origin_drop(flight->origin);
    for (uint32_t at = (hole + 1) & mask; shares->flights[at].id != 0; at = (at + 1) & mask) {
        uint32_t home = shares->flights[at].id & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            shares->flights[hole] = shares->flights[at];
            hole = at;
        }
    }
    shares->flights[hole] = (mqtt_flight){0};
    if (--shares->count == 0) {
        free(shares->flights);
        shares->flights = NULL;
        shares->capacity = 0;
    }
}

void weir_mqtt_flights_fini(struct mqtt_shares *shares)
{
    for (uint32_t i = 0; i < shares->capacity; i++) {
        if (shares->flights[i].id != 0) {
            weir_mqtt_origin_drop(shares->flights[i].origin);
        }
    }
    free(shares->flights);
    shares->flights = NULL;
    shares->capacity = 0;
    shares->count = 0;
}

void weir_mqtt_share_unlease(weir_mqtt_session *session, mqtt_share *share)
{
    const struct mqtt_shares *shares = session->shares;
    for (uint32_t i = 0; i < shares->capacity && share->flights > 0; i++) {
        mqtt_flight *flight = &shares->flights[i];
        if (flight->id != 0 && flight->share == share) {
            flight->lease = 0;
            flight->share = NULL; /* [H2] */
            share->flights--;
        }
    }
}
