/* Packets as bytes: what is read, what is refused and why, and that both ends of the codec agree.
 */
#include "adapters/proto/mqtt/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static weir_err decode(const void *bytes, size_t len, uint8_t version, weir_mqtt_packet *packet)
{
    /* On the heap, so that a sanitizer sees one byte too many. */
    uint8_t *copy = malloc(len + (len == 0));
    size_t used = 0;
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    weir_err err = weir_mqtt_decode((weir_bytes){copy, len}, version, packet, &used);
    if (err == WEIR_OK) {
        assert_int_equal(used, len);
    }
    free(copy);
    return err;
}

#define DECODE(version, ...)                                                                       \
    decode((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), version,        \
           &(weir_mqtt_packet){0})

/* ---- Integers ---- */

static void varint_cut_short_asks_for_more(void **state)
{
    const uint8_t wire[] = {0xff, 0xff, 0xff, 0x7f}; /* 268,435,455: the largest legal value */
    uint32_t value = 7;
    size_t used = 9;
    (void)state;
    for (size_t cut = 0; cut < sizeof(wire); cut++) {
        weir_bytes head = {wire, cut};
        assert_int_equal(weir_mqtt_varint_decode(head, &value, &used), WEIR_MORE);
        assert_int_equal(value, 7);
        assert_int_equal(used, 9);
    }
    assert_int_equal(weir_mqtt_varint_decode(WEIR_BYTES(wire), &value, &used), WEIR_OK);
    assert_int_equal(value, WEIR_MQTT_REMAINING_MAX);
    assert_int_equal(used, 4);
}

static void varint_overlong_or_of_five_bytes_is_malformed(void **state) /* [MQTT-1.5.5-1] */
{
    uint32_t value = 0;
    size_t used = 0;
    (void)state;
    assert_int_equal(weir_mqtt_varint_decode(WEIR_TEXT("\x80\x00"), &value, &used), WEIR_MALFORMED);
    assert_int_equal(weir_mqtt_varint_decode(WEIR_TEXT("\x81\x80\x00"), &value, &used),
                     WEIR_MALFORMED);
    assert_int_equal(weir_mqtt_varint_decode(WEIR_TEXT("\xff\xff\xff\xff\x01"), &value, &used),
                     WEIR_MALFORMED);
}

static void varint_sizes_and_bytes_agree_at_every_border(void **state)
{
    const uint32_t values[] = {0, 127, 128, 16383, 16384, 2097151, 2097152, 268435455};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint8_t wire[4];
        uint32_t value = 0;
        size_t used = 0, len = weir_mqtt_varint_encode(values[i], wire);
        assert_int_equal(len, weir_mqtt_varint_size(values[i]));
        assert_int_equal(len, 1 + i / 2);
        assert_int_equal(weir_mqtt_varint_decode((weir_bytes){wire, len}, &value, &used), WEIR_OK);
        assert_int_equal(value, values[i]);
    }
}

/* ---- The fixed header ---- */

static void flags_other_than_the_reserved_ones_are_malformed(void **state) /* [MQTT-2.1.3-1] */
{
    (void)state;
    for (unsigned type = 0; type < 16; type++) {
        for (unsigned flags = 0; flags < 16; flags++) {
            uint8_t first = (uint8_t)(type << 4 | flags);
            weir_mqtt_head head;
            bool two = type == WEIR_MQTT_PUBREL || type == WEIR_MQTT_SUBSCRIBE ||
                       type == WEIR_MQTT_UNSUBSCRIBE;
            bool legal = type == 0 ? false : two ? flags == 2 : flags == 0;
            if (type == WEIR_MQTT_PUBLISH) { /* [MQTT-3.3.1-2], [MQTT-3.3.1-4] */
                unsigned qos = flags >> 1 & 3;
                legal = qos != 3 && !((flags & 8) != 0 && qos == 0);
            }
            weir_err err = weir_mqtt_head_decode((weir_bytes){&first, 1}, WEIR_MQTT_5, &head);
            assert_int_equal(err, legal ? WEIR_MORE : WEIR_MALFORMED);
            bool old_dup = two && flags == 0x0a;
            err = weir_mqtt_head_decode((weir_bytes){&first, 1}, WEIR_MQTT_3_1, &head);
            assert_int_equal(err, legal || old_dup ? WEIR_MORE : WEIR_MALFORMED);
        }
    }
}

static void a_length_of_five_bytes_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(DECODE(5, 0x30, 0xff, 0xff, 0xff, 0xff, 0x01), WEIR_MALFORMED);
}

static void a_claimed_length_asks_for_more_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(DECODE(5, 0x30, 0xff, 0xff, 0xff, 0x7f), WEIR_MORE);
    assert_int_equal(DECODE(5, 0x10, 0xff, 0xff, 0xff, 0x7f, 0x00), WEIR_MORE);
}

/* ---- PUBLISH ---- */

static void publish_without_anything_special_is_read(void **state)
{
    const uint8_t wire[] = {0x33, 10, 0, 3, 'a', '/', 'b', 0, 9, 0, 'h', 'i'};
    weir_mqtt_packet packet;
    size_t used = 0;
    (void)state;
    assert_int_equal(weir_mqtt_decode(WEIR_BYTES(wire), 5, &packet, &used), WEIR_OK);
    assert_int_equal(used, sizeof(wire));
    assert_int_equal(packet.type, WEIR_MQTT_PUBLISH);
    assert_int_equal(packet.publish.qos, 1);
    assert_true(packet.publish.retain);
    assert_false(packet.publish.dup);
    assert_int_equal(packet.publish.id, 9);
    assert_int_equal(packet.publish.levels, 2);
    assert_int_equal(packet.publish.name.len, 3);
    assert_int_equal(packet.publish.payload.len, 2);
    assert_int_equal(packet.properties.present, 0);
}

static void publish_names_are_checked(void **state)
{
    (void)state;
    assert_int_equal(DECODE(4, 0x30, 3, 0, 1, '+'), WEIR_NAME_INVALID); /* [MQTT-3.3.2-2] */
    assert_int_equal(DECODE(4, 0x30, 3, 0, 1, '#'), WEIR_NAME_INVALID);
    assert_int_equal(DECODE(4, 0x30, 3, 0, 1, 0), WEIR_MALFORMED);          /* [MQTT-1.5.4-2] */
    assert_int_equal(DECODE(4, 0x30, 3, 0, 1, 0xff), WEIR_MALFORMED);       /* [MQTT-1.5.4-1] */
    assert_int_equal(DECODE(4, 0x30, 4, 0, 2, 0xc0, 0x80), WEIR_MALFORMED); /* overlong NUL */
    assert_int_equal(DECODE(4, 0x30, 5, 0, 3, 0xed, 0xa0, 0x80), WEIR_MALFORMED); /* surrogate */
    assert_int_equal(DECODE(4, 0x30, 4, 0, 2, 0xc3, 0xa9), WEIR_OK);
    assert_int_equal(DECODE(4, 0x30, 5, 0, 3, 0xc3, 0xa9, '+'), WEIR_NAME_INVALID);
    assert_int_equal(DECODE(4, 0x30, 2, 0, 0), WEIR_MALFORMED);   /* [MQTT-4.7.3-1] */
    assert_int_equal(DECODE(5, 0x30, 3, 0, 0, 0), WEIR_PROTOCOL); /* no alias either */
    assert_int_equal(DECODE(5, 0x30, 6, 0, 0, 3, 0x23, 0, 1), WEIR_OK);
}

static void names_are_scanned_the_same_at_every_length_and_place(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t at = 0; at < len; at++) {
            const struct {
                uint8_t byte;
                weir_err err;
                uint32_t levels;
            } cases[] = {{'/', WEIR_OK, 2},           {'+', WEIR_NAME_INVALID, 9},
                         {'#', WEIR_NAME_INVALID, 9}, {0, WEIR_MALFORMED, 9},
                         {0x80, WEIR_MALFORMED, 9},   {0x7f, WEIR_OK, 1},
                         {0x01, WEIR_OK, 1},          {'*', WEIR_OK, 1}};
            for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
                uint8_t *name = malloc(len);
                uint32_t levels = 9;
                assert_non_null(name);
                memset(name, 'x', len);
                name[at] = cases[c].byte;
                assert_int_equal(weir_mqtt_name_scan((weir_bytes){name, len}, &levels),
                                 cases[c].err);
                assert_int_equal(levels, cases[c].levels);
                free(name);
            }
        }
    }
}

static void packet_id_0_is_malformed(void **state) /* [MQTT-2.2.1-3] */
{
    (void)state;
    assert_int_equal(DECODE(4, 0x32, 5, 0, 1, 'a', 0, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0x40, 2, 0, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0x62, 2, 0, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0x82, 6, 0, 0, 0, 1, 'a', 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0xa2, 5, 0, 0, 0, 1, 'a'), WEIR_MALFORMED);
}

/* ---- Properties ---- */

static void a_property_twice_is_a_protocol_error_but_for_user_properties(void **state)
{
    (void)state;
    assert_int_equal(DECODE(5, 0x30, 8, 0, 1, 'a', 4, 0x01, 1, 0x01, 1), WEIR_PROTOCOL);
    assert_int_equal(DECODE(5, 0x30, 14, 0, 1, 'a', 10, 0x26, 0, 0, 0, 0, 0x26, 0, 0, 0, 0),
                     WEIR_OK);
    assert_int_equal(DECODE(5, 0x30, 8, 0, 1, 'a', 4, 0x0b, 1, 0x0b, 2), WEIR_OK);
    assert_int_equal(DECODE(5, 0x82, 11, 0, 1, 4, 0x0b, 1, 0x0b, 2, 0, 1, 'a', 0), WEIR_PROTOCOL);
}

static void properties_outside_their_range_are_protocol_errors(void **state)
{
    (void)state;
    assert_int_equal(DECODE(5, 0x30, 6, 0, 1, 'a', 2, 0x01, 2), WEIR_PROTOCOL);
    assert_int_equal(DECODE(5, 0x82, 9, 0, 1, 2, 0x0b, 0, 0, 1, 'a', 0), WEIR_PROTOCOL);
    assert_int_equal(DECODE(5, 0x20, 6, 0, 0, 3, 0x21, 0, 0), WEIR_PROTOCOL); /* Receive Maximum */
    assert_int_equal(DECODE(5, 0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 0), WEIR_PROTOCOL);
    assert_int_equal(DECODE(5, 0x30, 8, 0, 1, 'a', 4, 0x08, 0, 1, '#'), WEIR_PROTOCOL);
}

/* Every identifier in every packet: allowed where the standard's table 2-4 says so. */
static void properties_stand_only_where_they_may(void **state)
{
    static const struct {
        uint8_t id;
        const char *value;
        size_t len;
        unsigned packets;
    } table[] = {
#define BYTE                         "\x01", 1
#define U16                          "\x00\x01", 2
#define U32                          "\x00\x00\x00\x01", 4
#define VARINT                       "\x01", 1
#define TEXT                         "\x00\x01t", 3
#define DATA                         "\x00\x01t", 3
#define PAIR                         "\x00\x01t\x00\x01t", 6
#define ROW(name, id, kind, packets) {id, kind, packets},
        WEIR_MQTT_PROPERTY_LIST(ROW)};
    static const uint8_t types[] = {
        WEIR_MQTT_CONNACK,     WEIR_MQTT_PUBLISH,  WEIR_MQTT_PUBACK,     WEIR_MQTT_PUBREC,
        WEIR_MQTT_PUBREL,      WEIR_MQTT_PUBCOMP,  WEIR_MQTT_SUBSCRIBE,  WEIR_MQTT_SUBACK,
        WEIR_MQTT_UNSUBSCRIBE, WEIR_MQTT_UNSUBACK, WEIR_MQTT_DISCONNECT, WEIR_MQTT_AUTH};
    (void)state;
    for (size_t p = 0; p < sizeof(table) / sizeof(table[0]); p++) {
        for (size_t t = 0; t < sizeof(types); t++) {
            uint8_t wire[32] = {0}, type = types[t];
            size_t at = 2;
            wire[0] =
                (uint8_t)(type << 4 | (type == WEIR_MQTT_PUBREL || type == WEIR_MQTT_SUBSCRIBE ||
                                               type == WEIR_MQTT_UNSUBSCRIBE
                                           ? 2
                                           : 0));
            if (type == WEIR_MQTT_PUBLISH) {
                memcpy(wire + at, "\0\1a", 3);
                at += 3;
            } else if (type == WEIR_MQTT_CONNACK) {
                at += 2;
            } else if (type == WEIR_MQTT_DISCONNECT || type == WEIR_MQTT_AUTH) {
                at += 1;
            } else {
                wire[at + 1] = 1;
                at += type >= WEIR_MQTT_PUBACK && type <= WEIR_MQTT_PUBCOMP ? 3 : 2;
            }
            wire[at++] = (uint8_t)(1 + table[p].len);
            wire[at++] = table[p].id;
            memcpy(wire + at, table[p].value, table[p].len);
            at += table[p].len;
            if (type == WEIR_MQTT_SUBSCRIBE || type == WEIR_MQTT_UNSUBSCRIBE) {
                memcpy(wire + at, "\0\1a", 3);
                at += type == WEIR_MQTT_SUBSCRIBE ? 4 : 3;
            } else if (type == WEIR_MQTT_SUBACK || type == WEIR_MQTT_UNSUBACK) {
                at++;
            }
            wire[1] = (uint8_t)(at - 2);
            bool allowed = (table[p].packets >> type & 1) != 0;
            assert_int_equal(decode(wire, at, 5, &(weir_mqtt_packet){0}),
                             allowed ? WEIR_OK : WEIR_MALFORMED);
        }
    }
}

static void an_unknown_property_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(DECODE(5, 0x30, 6, 0, 1, 'a', 2, 0x7f, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(5, 0x30, 7, 0, 1, 'a', 3, 0x81, 0x01, 0), WEIR_MALFORMED);
}

static void a_property_that_leaves_its_block_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(DECODE(5, 0x30, 9, 0, 1, 'a', 3, 0x03, 0, 2, 'x', 'y'), WEIR_MALFORMED);
    assert_int_equal(DECODE(5, 0x30, 6, 0, 1, 'a', 9, 0x03, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(5, 0x30, 9, 0, 1, 'a', 5, 0x26, 0, 1, 'k', 0), WEIR_MALFORMED);
}

/* ---- CONNECT ---- */

static void connect_of_each_version_is_read(void **state)
{
    const uint8_t old[] = {0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 60, 0, 1, 'c'};
    const uint8_t mid[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'c'};
    const uint8_t new[] = {0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 60, 0, 0, 1, 'c'};
    const weir_bytes all[] = {WEIR_BYTES(old), WEIR_BYTES(mid), WEIR_BYTES(new)};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        weir_mqtt_packet packet;
        size_t used = 0;
        assert_int_equal(weir_mqtt_decode(all[i], 0, &packet, &used), WEIR_OK);
        assert_int_equal(packet.connect.version, 3 + i);
        assert_true(packet.connect.clean);
        assert_int_equal(packet.connect.keep_alive_seconds, 60);
        assert_int_equal(packet.connect.client_id.len, 1);
        assert_null(packet.connect.user.ptr);
    }
}

static void connect_of_another_version_is_unsupported_and_says_which(void **state)
{
    const uint8_t wire[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 6, 2, 0, 60, 0, 1, 'c'};
    weir_mqtt_packet packet;
    size_t used = 0;
    (void)state;
    assert_int_equal(weir_mqtt_decode(WEIR_BYTES(wire), 0, &packet, &used), WEIR_UNSUPPORTED);
    assert_int_equal(packet.connect.version, 6);
    assert_int_equal(DECODE(0, 0x10, 13, 0, 4, 'M', 'Q', 'T', 'X', 4, 2, 0, 60, 0, 1, 'c'),
                     WEIR_MALFORMED); /* [MQTT-3.1.2-1] */
}

static weir_err connect_with_flags(uint8_t version, uint8_t flags, const char *rest, size_t len)
{
    uint8_t wire[64] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', version, flags, 0, 0};
    size_t at = 12;
    if (version == 5) {
        wire[at++] = 0;
    }
    memcpy(wire + at, rest, len);
    wire[1] = (uint8_t)(at + len - 2);
    return decode(wire, at + len, 0, &(weir_mqtt_packet){0});
}

static void connect_flags_that_contradict_each_other_are_malformed(void **state)
{
    (void)state;
    for (uint8_t version = 4; version <= 5; version++) {
        assert_int_equal(connect_with_flags(version, 0x02, "\0\0", 2), WEIR_OK);
        assert_int_equal(connect_with_flags(version, 0x03, "\0\0", 2), WEIR_MALFORMED); /* -3 */
        assert_int_equal(connect_with_flags(version, 0x0a, "\0\0", 2), WEIR_MALFORMED); /* -11 */
        assert_int_equal(connect_with_flags(version, 0x22, "\0\0", 2), WEIR_MALFORMED); /* -13 */
        assert_int_equal(connect_with_flags(version, 0x1e, "\0\0\0\1a\0\0", 7), WEIR_MALFORMED);
    }
    assert_int_equal(connect_with_flags(4, 0x42, "\0\0\0\1p", 5), WEIR_MALFORMED);
    assert_int_equal(connect_with_flags(5, 0x42, "\0\0\0\1p", 5), WEIR_OK);
    assert_int_equal(connect_with_flags(4, 0xc2, "\0\0\0\1u\0\1p", 8), WEIR_OK);
    assert_int_equal(connect_with_flags(4, 0xc2, "\0\0\0\1u\0\1p!", 9), WEIR_MALFORMED);
    assert_int_equal(connect_with_flags(4, 0x82, "\0\0", 2), WEIR_MALFORMED);
}

static void a_will_needs_a_name(void **state)
{
    (void)state;
    assert_int_equal(connect_with_flags(4, 0x06, "\0\0\0\1a\0\1m", 8), WEIR_OK);
    assert_int_equal(connect_with_flags(4, 0x06, "\0\0\0\1#\0\1m", 8), WEIR_NAME_INVALID);
    assert_int_equal(connect_with_flags(4, 0x06, "\0\0\0\0\0\1m", 7), WEIR_NAME_INVALID);
    assert_int_equal(connect_with_flags(4, 0x06, "\0\0\0\1\xff\0\1m", 8), WEIR_MALFORMED);
}

static void mqtt_3_1_may_leave_out_user_and_password(void **state)
{
    (void)state;
    assert_int_equal(
        DECODE(0, 0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 0xc2, 0, 60, 0, 1, 'c'),
        WEIR_OK);
}

/* ---- SUBSCRIBE and the acknowledgements ---- */

static void subscribe_options_are_checked(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 256; options++) {
        uint8_t four[] = {0x82, 6, 0, 1, 0, 1, 'a', (uint8_t)options};
        uint8_t five[] = {0x82, 7, 0, 1, 0, 0, 1, 'a', (uint8_t)options};
        bool reserved = (options & 0xc0) != 0; /* [MQTT-3.8.3-5] */
        bool illegal = (options & 3) == 3 || (options & 0x30) == 0x30;
        assert_int_equal(decode(four, sizeof(four), 4, &(weir_mqtt_packet){0}),
                         options > 2 ? WEIR_MALFORMED : WEIR_OK);
        assert_int_equal(decode(five, sizeof(five), 5, &(weir_mqtt_packet){0}),
                         reserved  ? WEIR_MALFORMED
                         : illegal ? WEIR_PROTOCOL
                                   : WEIR_OK);
    }
}

static void subscribe_without_a_filter_is_a_protocol_error(void **state) /* [MQTT-3.8.3-2] */
{
    (void)state;
    assert_int_equal(DECODE(4, 0x82, 2, 0, 1), WEIR_PROTOCOL);
    assert_int_equal(DECODE(5, 0xa2, 3, 0, 1, 0), WEIR_PROTOCOL); /* [MQTT-3.10.3-2] */
    assert_int_equal(DECODE(4, 0x82, 5, 0, 1, 0, 0, 1), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0x82, 5, 0, 1, 0, 1, 'a'), WEIR_MALFORMED); /* no options */
}

static void acknowledgements_may_end_early_in_5_and_not_before(void **state)
{
    weir_mqtt_packet packet;
    size_t used = 0;
    (void)state;
    assert_int_equal(DECODE(4, 0x40, 2, 0, 1), WEIR_OK);
    assert_int_equal(DECODE(4, 0x40, 3, 0, 1, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0x40, 1, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(5, 0x40, 2, 0, 1), WEIR_OK);
    assert_int_equal(DECODE(5, 0x40, 4, 0, 1, 0x10, 0), WEIR_OK);
    assert_int_equal(DECODE(5, 0x40, 3, 0, 1, 0x77), WEIR_MALFORMED); /* [MQTT-3.4.2-1] */
    assert_int_equal(DECODE(5, 0x62, 3, 0, 1, 0x87), WEIR_MALFORMED); /* [MQTT-3.6.2-1] */
    weir_bytes in = WEIR_TEXT("\x40\x03\x00\x01\x97");
    assert_int_equal(weir_mqtt_decode(in, 5, &packet, &used), WEIR_OK);
    assert_int_equal(packet.reason, 0x97);
}

static void packets_without_a_body_have_none(void **state)
{
    (void)state;
    assert_int_equal(DECODE(4, 0xc0, 0), WEIR_OK);
    assert_int_equal(DECODE(4, 0xc0, 1, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(4, 0xd0, 0), WEIR_OK);
    assert_int_equal(DECODE(4, 0xe0, 0), WEIR_OK);
    assert_int_equal(DECODE(4, 0xe0, 1, 0), WEIR_MALFORMED);
    assert_int_equal(DECODE(5, 0xe0, 1, 4), WEIR_OK);
    assert_int_equal(DECODE(5, 0xe0, 1, 1), WEIR_MALFORMED); /* [MQTT-3.14.2-1] */
    assert_int_equal(DECODE(4, 0xf0, 0), WEIR_MALFORMED);    /* AUTH came with 5.0 */
    assert_int_equal(DECODE(5, 0xf0, 0), WEIR_OK);
}

/* ---- Both ways ---- */

static const weir_mqtt_property all_publish[] = {
    {.name = WEIR_MQTT_PAYLOAD_FORMAT, .number = 1},
    {.name = WEIR_MQTT_MESSAGE_EXPIRY, .number = 3600},
    {.name = WEIR_MQTT_CONTENT_TYPE, .text = {(const uint8_t *)"text/plain", 10}},
    {.name = WEIR_MQTT_RESPONSE_TOPIC, .text = {(const uint8_t *)"re/ply", 6}},
    {.name = WEIR_MQTT_CORRELATION_DATA, .text = {(const uint8_t *)"\0\xff", 2}},
    {.name = WEIR_MQTT_USER_PROPERTY,
     .text = {(const uint8_t *)"k", 1},
     .value = {(const uint8_t *)"v", 1}},
};

static size_t sample(int which, uint8_t version, uint8_t *out, size_t size)
{
    uint8_t filters[64];
    weir_mqtt_packet packet = {.id = 300};
    size_t listed = version == 5 ? 6 : 0;
    switch (which) {
    case 0:
        packet.type = WEIR_MQTT_CONNECT;
        packet.connect = (weir_mqtt_connect){.version = version,
                                             .has_will = true,
                                             .will_qos = 1,
                                             .will_retain = true,
                                             .will_name = WEIR_TEXT("w"),
                                             .will_payload = WEIR_TEXT("gone"),
                                             .client_id = WEIR_TEXT("id"),
                                             .user = WEIR_TEXT("u"),
                                             .password = WEIR_TEXT("p"),
                                             .will_list = all_publish,
                                             .will_list_count = listed};
        return weir_mqtt_encode(version, &packet, NULL, 0, out, size);
    case 1:
        packet.type = WEIR_MQTT_PUBLISH;
        packet.publish = (weir_mqtt_publish){
            .qos = 1, .dup = true, .id = 7, .name = WEIR_TEXT("a/b"), .payload = WEIR_TEXT("x")};
        return weir_mqtt_encode(version, &packet, all_publish, listed, out, size);
    case 2:
        packet.type = WEIR_MQTT_SUBSCRIBE;
        packet.payload = (weir_bytes){
            filters, weir_mqtt_filter_encode(WEIR_TEXT("a/#"), true, 1, filters, sizeof(filters))};
        return weir_mqtt_encode(version, &packet, NULL, 0, out, size);
    case 3:
        packet.type = WEIR_MQTT_UNSUBSCRIBE;
        packet.payload = (weir_bytes){
            filters, weir_mqtt_filter_encode(WEIR_TEXT("a/#"), false, 0, filters, sizeof(filters))};
        return weir_mqtt_encode(version, &packet, NULL, 0, out, size);
    case 4:
        packet.type = WEIR_MQTT_SUBACK;
        packet.payload = WEIR_TEXT("\x01\x80");
        return weir_mqtt_encode(version, &packet, NULL, 0, out, size);
    case 5:
        packet.type = WEIR_MQTT_CONNACK;
        packet.session_present = true;
        return weir_mqtt_encode(version, &packet, NULL, 0, out, size);
    default:
        packet.type = (uint8_t)(which == 6   ? WEIR_MQTT_PUBACK
                                : which == 7 ? WEIR_MQTT_PINGREQ
                                             : WEIR_MQTT_DISCONNECT);
        packet.reason = which == 6 ? 0x80 : 0;
        return weir_mqtt_encode(version, &packet, NULL, 0, out, size);
    }
}

static void what_is_encoded_is_decoded_and_every_cut_asks_for_more(void **state)
{
    (void)state;
    for (uint8_t version = 3; version <= 5; version++) {
        for (int which = 0; which < 9; which++) {
            uint8_t wire[512];
            weir_mqtt_packet packet;
            size_t used = 9, len = sample(which, version, wire, sizeof(wire));
            assert_in_range(len, 2, sizeof(wire));
            assert_int_equal(sample(which, version, NULL, 0), len);
            for (size_t cut = 0; cut < len; cut++) {
                weir_bytes head = {wire, cut};
                assert_int_equal(weir_mqtt_decode(head, version, &packet, &used), WEIR_MORE);
                assert_int_equal(used, 9);
            }
            assert_int_equal(decode(wire, len, version, &packet), WEIR_OK);
        }
    }
}

static void properties_arrive_as_they_were_sent(void **state)
{
    uint8_t wire[512];
    weir_mqtt_packet packet;
    weir_mqtt_property property;
    size_t used = 0, len = sample(1, 5, wire, sizeof(wire)), count = 0;
    (void)state;
    assert_int_equal(weir_mqtt_decode((weir_bytes){wire, len}, 5, &packet, &used), WEIR_OK);
    assert_int_equal(weir_mqtt_number(&packet.properties, WEIR_MQTT_MESSAGE_EXPIRY, 0), 3600);
    assert_int_equal(weir_mqtt_number(&packet.properties, WEIR_MQTT_TOPIC_ALIAS, 77), 77);
    assert_true(weir_bytes_equal(weir_mqtt_text(&packet.properties, WEIR_MQTT_RESPONSE_TOPIC),
                                 WEIR_TEXT("re/ply")));
    assert_int_equal(packet.properties.pairs, 1);
    weir_bytes rest = packet.properties.raw;
    while (weir_mqtt_property_next(&rest, &property)) {
        assert_int_equal(property.name, all_publish[count].name);
        assert_int_equal(property.number, all_publish[count].number);
        assert_int_equal(property.text.len, all_publish[count].text.len);
        assert_int_equal(property.value.len, all_publish[count].value.len);
        count++;
    }
    assert_int_equal(count, 6);
}

static void one_property_is_encoded_as_in_a_packet(void **state)
{
    uint8_t one[64], wire[512];
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
        packet.publish.name = WEIR_TEXT("a");
        size_t len = weir_mqtt_property_encode(&all_publish[i], one, sizeof(one));
        assert_in_range(len, 2, sizeof(one));
        assert_int_equal(weir_mqtt_encode(5, &packet, &all_publish[i], 1, wire, sizeof(wire)),
                         6 + len);
        assert_memory_equal(wire + 6, one, len);
        assert_int_equal(weir_mqtt_property_encode(&all_publish[i], one, len - 1), len);
    }
}

static void what_mqtt_cannot_say_is_not_encoded(void **state)
{
    static uint8_t big[65536];
    weir_mqtt_packet packet = {.type = WEIR_MQTT_PUBLISH};
    (void)state;
    packet.publish.name = (weir_bytes){big, sizeof(big)};
    assert_int_equal(weir_mqtt_encode(5, &packet, NULL, 0, NULL, 0), 0);
    packet.publish.name = WEIR_TEXT("a");
    packet.publish.payload = (weir_bytes){big, 268435456};
    assert_int_equal(weir_mqtt_encode(5, &packet, NULL, 0, NULL, 0), 0);
    assert_int_equal(weir_mqtt_filter_encode((weir_bytes){big, 65536}, true, 0, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varint_cut_short_asks_for_more),
        cmocka_unit_test(varint_overlong_or_of_five_bytes_is_malformed),
        cmocka_unit_test(varint_sizes_and_bytes_agree_at_every_border),
        cmocka_unit_test(flags_other_than_the_reserved_ones_are_malformed),
        cmocka_unit_test(a_length_of_five_bytes_is_malformed),
        cmocka_unit_test(a_claimed_length_asks_for_more_and_nothing_else),
        cmocka_unit_test(publish_without_anything_special_is_read),
        cmocka_unit_test(publish_names_are_checked),
        cmocka_unit_test(names_are_scanned_the_same_at_every_length_and_place),
        cmocka_unit_test(packet_id_0_is_malformed),
        cmocka_unit_test(a_property_twice_is_a_protocol_error_but_for_user_properties),
        cmocka_unit_test(properties_outside_their_range_are_protocol_errors),
        cmocka_unit_test(properties_stand_only_where_they_may),
        cmocka_unit_test(an_unknown_property_is_malformed),
        cmocka_unit_test(a_property_that_leaves_its_block_is_malformed),
        cmocka_unit_test(connect_of_each_version_is_read),
        cmocka_unit_test(connect_of_another_version_is_unsupported_and_says_which),
        cmocka_unit_test(connect_flags_that_contradict_each_other_are_malformed),
        cmocka_unit_test(a_will_needs_a_name),
        cmocka_unit_test(mqtt_3_1_may_leave_out_user_and_password),
        cmocka_unit_test(subscribe_options_are_checked),
        cmocka_unit_test(subscribe_without_a_filter_is_a_protocol_error),
        cmocka_unit_test(acknowledgements_may_end_early_in_5_and_not_before),
        cmocka_unit_test(packets_without_a_body_have_none),
        cmocka_unit_test(what_is_encoded_is_decoded_and_every_cut_asks_for_more),
        cmocka_unit_test(properties_arrive_as_they_were_sent),
        cmocka_unit_test(one_property_is_encoded_as_in_a_packet),
        cmocka_unit_test(what_mqtt_cannot_say_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
