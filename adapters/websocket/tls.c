/* adapters/websocket/tls.c - what stands between a link's connection and its descriptor. */
#include "adapters/websocket/tls.h"

#include "adapters/shared/settings.h"
#include "adapters/websocket/link.h"

weir_err weir_web_tls_configure(weir_adapter *adapter, weir_fault *fault)
{
    const char *certificate = weir_setting_text(adapter->host, "tls.certificate", NULL);
    if (certificate != NULL) {
        return weir_fault_set(fault, WEIR_NOT_OFFERED, 0, "http.tls.certificate: not offered.");
    }
    return WEIR_OK;
}

void weir_web_tls_fini(weir_adapter *adapter)
{
    (void)adapter;
}

weir_err weir_web_link_filter(weir_adapter *adapter, int fd, weir_conn_filter *filter)
{
    (void)adapter;
    (void)fd;
    *filter = (weir_conn_filter){0};
    return WEIR_OK;
}
