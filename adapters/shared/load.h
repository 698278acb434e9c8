/* adapters/shared/load.h - front ends in shared objects: found by path, checked before they are
 * used. */
#ifndef WEIR_ADAPTERS_SHARED_LOAD_H
#define WEIR_ADAPTERS_SHARED_LOAD_H

#include "weir/adapter.h"

/* Loads the object at `path` and gives its table, once it has proved usable. `name` is what
 * weir.yaml calls it and must be what the table says. The object stays loaded for the life of the
 * process: its threads and tables may be referred to until the end. Main thread. NOT_FOUND: no such
 * file, or no weir_adapter_entry in it. VERSION: made for another WEIR_ADAPTER_ABI (the fault names
 * both). INVALID: not a shared object, another name, or a slot of the table is empty. */
weir_err weir_adapter_load(const char *name, const char *path, const weir_adapter_ops **ops,
                           weir_fault *fault);

/* The same checks for a table that is at hand. */
weir_err weir_adapter_check(const char *name, const weir_adapter_ops *ops, weir_fault *fault);

#endif
