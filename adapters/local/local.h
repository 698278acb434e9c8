/* adapters/local/local.h - the name under which programs know the table of adapter.h. */
#ifndef WEIR_ADAPTERS_LOCAL_LOCAL_H
#define WEIR_ADAPTERS_LOCAL_LOCAL_H

#include "adapters/local/adapter.h"

#endif
