/* Feeds bytes to the MQTT codec as one version's packet, and holds it to what codec.h promises:
 *
 *   input   [ version | bytes ... ]
 *
 * - a packet that is read uses up what its head says, and every cut of it asks for more;
 * - what was read can be written, and reads back the same;
 * - walking its properties and filters stays inside it, and finds what was counted.
 *
 * The harness calls abort() when one of these is broken; sanitizers find the rest: the packet lies
 * in memory of exactly its size. Its planted bug must be found. */
#include "adapters/proto/mqtt/codec.h"

#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES_MAX = 8192, PROPERTIES_MAX = 2048, CUTS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static size_t properties_walk(const weir_mqtt_properties *properties, weir_mqtt_property *list)
{
    weir_bytes rest = properties->raw;
    size_t count = 0, pairs = 0;
    while (weir_mqtt_property_next(&rest, &list[count])) {
        require((properties->present >> list[count].name & 1) != 0);
        pairs += list[count].name == WEIR_MQTT_USER_PROPERTY;
        require(++count < PROPERTIES_MAX);
    }
    require(rest.len == 0 && pairs == properties->pairs);
    return count;
}

static void filters_walk(const weir_mqtt_packet *packet)
{
    weir_bytes rest = packet->payload, filter;
    uint8_t options = 0;
    uint32_t count = 0;
    while (weir_mqtt_filter_next(&rest, packet->type == WEIR_MQTT_SUBSCRIBE, &filter, &options)) {
        require(weir_mqtt_text_valid(filter) && filter.len > 0 && (options & 3) != 3);
        count++;
    }
    require(rest.len == 0 && count == packet->filters);
}

static void cuts_check(weir_bytes in, uint8_t version, size_t used)
{
    size_t step = used / CUTS_MAX + 1;
    for (size_t cut = 0; cut < used; cut += step) {
        weir_mqtt_packet packet;
        size_t ignored = 0;
        require(weir_mqtt_decode((weir_bytes){in.ptr, cut}, version, &packet, &ignored) ==
                WEIR_MORE);
    }
}

static bool same(weir_bytes a, weir_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static void same_packet(const weir_mqtt_packet *a, const weir_mqtt_packet *b)
{
    require(a->type == b->type);
    switch (a->type) {
    case WEIR_MQTT_PUBLISH:
        require(a->publish.id == b->publish.id && a->publish.qos == b->publish.qos);
        require(a->publish.retain == b->publish.retain && a->publish.dup == b->publish.dup);
        require(same(a->publish.name, b->publish.name));
        require(same(a->publish.payload, b->publish.payload));
        require(a->publish.levels == b->publish.levels);
        break;
    case WEIR_MQTT_CONNECT:
        require(a->connect.version == b->connect.version && a->connect.clean == b->connect.clean);
        require(same(a->connect.client_id, b->connect.client_id));
        require(same(a->connect.will_name, b->connect.will_name));
        require(same(a->connect.will_payload, b->connect.will_payload));
        require(same(a->connect.user, b->connect.user));
        require(same(a->connect.password, b->connect.password));
        break;
    default:
        require(a->id == b->id && a->reason == b->reason && same(a->payload, b->payload));
        require(a->session_present == b->session_present && a->filters == b->filters);
        break;
    }
    require(a->properties.present == b->properties.present);
    require(a->properties.pairs == b->properties.pairs);
}

static void round_trip(weir_mqtt_packet *packet, uint8_t version)
{
    static weir_mqtt_property list[PROPERTIES_MAX], will[PROPERTIES_MAX];
    weir_mqtt_packet again;
    size_t used = 0;
    size_t count = properties_walk(&packet->properties, list);
    if (packet->type == WEIR_MQTT_CONNECT && packet->connect.will_properties.present != 0) {
        packet->connect.will_list_count = properties_walk(&packet->connect.will_properties, will);
        packet->connect.will_list = will;
    }
    version = packet->type == WEIR_MQTT_CONNECT ? packet->connect.version : version;
    size_t size = weir_mqtt_encode(version, packet, list, count, NULL, 0);
    require(size > 0);
    uint8_t *out = malloc(size);
    require(out != NULL);
    require(weir_mqtt_encode(version, packet, list, count, out, size) == size);
    require(weir_mqtt_decode((weir_bytes){out, size}, version, &again, &used) == WEIR_OK);
    require(used == size);
    same_packet(packet, &again);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_mqtt_packet packet;
    size_t used = 0;
    if (size < 1 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    uint8_t version = (uint8_t)(WEIR_MQTT_3_1 + data[0] % 3);
    uint8_t *copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    weir_bytes in = {copy, size - 1};
    uint8_t *exact = realloc(copy, size > 1 ? size - 1 : 1);
    in.ptr = exact;
    if (weir_mqtt_decode(in, version, &packet, &used) == WEIR_OK) {
        require(used >= 2 && used <= in.len);
        cuts_check(in, version, used);
        if (packet.type == WEIR_MQTT_SUBSCRIBE || packet.type == WEIR_MQTT_UNSUBSCRIBE) {
            filters_walk(&packet);
        }
        round_trip(&packet, version);
    }
    free(exact);
    return 0;
}
