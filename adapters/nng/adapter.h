/* adapters/nng/adapter.h - the nng front end: REP, PULL, PUB and PUSH of the Scalability Protocols.
 *
 * docs/nng.md says what is offered, what each socket can lose, and how that is counted. */
#ifndef WEIR_ADAPTERS_NNG_ADAPTER_H
#define WEIR_ADAPTERS_NNG_ADAPTER_H

#include "weir/adapter.h"

/* Needs a host with loops. Several hosts may each have one, with URLs of their own. */
const weir_adapter_ops *weir_nng_adapter(void);

#endif
