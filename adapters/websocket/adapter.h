/* adapters/websocket/adapter.h - HTTP and WebSocket on one port: weir.v1 at /v1, MQTT at /mqtt, the
 * metrics, the health answers and the console's pages from memory.
 *
 * Settings (section "http"): port, address, insecure, origins, test_echo, ping_ms, upgrade_ms_max,
 * message_ms_max, tls.certificate, tls.key, tls.client_ca. docs/decisions/0020-websocket.md says
 * why it is built so. */
#ifndef WEIR_ADAPTERS_WEBSOCKET_ADAPTER_H
#define WEIR_ADAPTERS_WEBSOCKET_ADAPTER_H

#include "weir/adapter.h"

const weir_adapter_ops *weir_websocket_adapter(void);

#endif
