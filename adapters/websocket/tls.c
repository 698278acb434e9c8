/* adapters/websocket/tls.c - whether this port speaks TLS, and with what.
 *
 * With http.tls.certificate the port speaks nothing else: a plain request fails in its handshake.
 * The time to a complete head (http.upgrade_ms_max) bounds the handshake, too. */
#include "adapters/websocket/tls.h"

#include "adapters/shared/settings.h"
#include "adapters/shared/tls.h"
#include "adapters/websocket/link.h"

weir_err weir_web_tls_configure(weir_adapter *adapter, weir_fault *fault)
{
    const weir_tls_config config = {
        .section = WEIR_WEB_SECTION,
        .certificate = weir_setting_text(adapter->host, "tls.certificate", NULL),
        .key = weir_setting_text(adapter->host, "tls.key", NULL),
        .client_ca = weir_setting_text(adapter->host, "tls.client_ca", NULL),
    };
    if (config.certificate == NULL && (config.key != NULL || config.client_ca != NULL)) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "http.tls.key and http.tls.client_ca need http.tls.certificate.");
    }
    return config.certificate == NULL ? WEIR_OK : weir_tls_create(&config, &adapter->tls, fault);
}

void weir_web_tls_fini(weir_adapter *adapter)
{
    weir_tls_destroy(adapter->tls);
    adapter->tls = NULL;
}

weir_err weir_web_link_filter(weir_adapter *adapter, int fd, weir_conn_filter *filter)
{
    *filter = (weir_conn_filter){0};
    return adapter->tls == NULL ? WEIR_OK : weir_tls_filter(adapter->tls, fd, filter);
}
