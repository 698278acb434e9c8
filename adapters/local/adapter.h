/* adapters/local/adapter.h - weir.v1 on a stream socket in the data directory, for the command line
 * and programs on the same machine.
 *
 * <data_dir>/weir.sock, mode 0600: who may open the data directory's files may connect. A socket
 * file left by a process that is gone is replaced. Announced as "local unix:<path>". Setting: path
 * (another place for the socket file). */
#ifndef WEIR_ADAPTERS_LOCAL_ADAPTER_H
#define WEIR_ADAPTERS_LOCAL_ADAPTER_H

#include "weir/adapter.h"

extern const weir_adapter_ops weir_local_ops;

const weir_adapter_ops *weir_local_adapter(void); /* the same */

#endif
