/* adapters/mqtt/adapter.h - the door of the MQTT front end. */
#ifndef WEIR_ADAPTERS_MQTT_ADAPTER_H
#define WEIR_ADAPTERS_MQTT_ADAPTER_H

#include "weir/adapter.h"

/* The table of the built-in adapter "mqtt". It needs host->loops. Settings: address, port,
 * insecure, connections_max. */
const weir_adapter_ops *weir_mqtt_adapter(void);

#endif
