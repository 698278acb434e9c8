/* adapters/websocket/tls.h - TLS of this port: settings http.tls.certificate, http.tls.key,
 * http.tls.client_ca. */
#ifndef WEIR_ADAPTERS_WEBSOCKET_TLS_H
#define WEIR_ADAPTERS_WEBSOCKET_TLS_H

#include "adapters/websocket/web.h"

/* Reads the settings and the files: INVALID with a fault that says which. Nothing set: plain. */
weir_err weir_web_tls_configure(weir_adapter *adapter, weir_fault *fault);
void weir_web_tls_fini(weir_adapter *adapter);

#endif
