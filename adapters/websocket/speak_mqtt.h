/* adapters/websocket/speak_mqtt.h - what the MQTT sessions of one loop share. On its thread. */
#ifndef WEIR_ADAPTERS_WEBSOCKET_SPEAK_MQTT_H
#define WEIR_ADAPTERS_WEBSOCKET_SPEAK_MQTT_H

#include "adapters/websocket/web.h"

weir_err weir_web_mqtt_lane_open(weir_web_lane *lane); /* NO_MEMORY */
void weir_web_mqtt_lane_close(weir_web_lane *lane);    /* no session is left */

#endif
