/* adapters/shared/load.c - alone responsible for believing a shared object: nothing of it is called
 * but its entry before its table has been checked.
 *
 *     path -> dlopen -> weir_adapter_entry() -> abi? -> name? -> every slot filled? -> table
 *
 * The ABI number comes first in the table and is looked at first: of a table made for another
 * header no other field is read.
 *
 * Failures: each names the file, and what to do. The object is closed again, except on success. */
#include "adapters/shared/load.h"

#include "adapters/shared/settings.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

weir_err weir_adapter_check(const char *name, const weir_adapter_ops *ops, weir_fault *fault)
{
    if (ops->abi != WEIR_ADAPTER_ABI) {
        return weir_fault_set(
            fault, WEIR_VERSION, 0,
            "Adapter %s was made for adapter ABI %u and this gateway has %u: build "
            "it again with this gateway's headers.",
            name, ops->abi, WEIR_ADAPTER_ABI);
    }
    if (ops->name == NULL || ops->version == NULL || strcmp(ops->name, name) != 0) {
        return weir_fault_set(fault, WEIR_INVALID, 0,
                              "The adapter configured as %s calls itself %.64s: use that name, or "
                              "another file.",
                              name, ops->name == NULL ? "nothing" : ops->name);
    }
    if (ops->configure == NULL || ops->start == NULL || ops->drain == NULL || ops->stop == NULL ||
        ops->stats == NULL) {
        return weir_fault_set(
            fault, WEIR_INVALID, 0,
            "Adapter %s leaves a slot of its table empty: it has to fill configure, "
            "start, drain, stop and stats.",
            name);
    }
    return WEIR_OK;
}

static weir_err object_open(const char *name, const char *path, void **object, weir_fault *fault)
{
    char dotted[WEIR_FAULT_FILE_MAX];
    if (access(path, R_OK) != 0) {
        return weir_fault_set(fault, WEIR_NOT_FOUND, errno,
                              "Adapter %s: %.200s cannot be read (%s): set its path to the shared "
                              "object.",
                              name, path, strerror(errno));
    }
    /* A path without a slash would be searched for in the library path instead. */
    (void)snprintf(dotted, sizeof(dotted), "%s%s", strchr(path, '/') != NULL ? "" : "./", path);
    *object = dlopen(dotted, RTLD_NOW | RTLD_LOCAL);
    if (*object == NULL) {
        return weir_fault_set(fault, WEIR_INVALID, 0, "Adapter %s: %.300s.", name, dlerror());
    }
    return WEIR_OK;
}

static weir_err table_get(const char *name, const char *path, void *object,
                          const weir_adapter_ops **ops, weir_fault *fault)
{
    weir_adapter_entry_fn entry = NULL;
    void *symbol = dlsym(object, "weir_adapter_entry");
    memcpy(&entry, &symbol, sizeof(entry)); /* C has no cast from object to function pointers */
    if (entry == NULL) {
        return weir_fault_set(fault, WEIR_NOT_FOUND, 0,
                              "Adapter %s: %.200s has no weir_adapter_entry: it is not an adapter, "
                              "or hides its symbols (WEIR_ADAPTER_EXPORT).",
                              name, path);
    }
    *ops = entry();
    if (*ops == NULL) {
        return weir_fault_set(fault, WEIR_INVALID, 0, "Adapter %s: %.200s gives no table.", name,
                              path);
    }
    return weir_adapter_check(name, *ops, fault);
}

weir_err weir_adapter_load(const char *name, const char *path, const weir_adapter_ops **ops,
                           weir_fault *fault)
{
    void *object = NULL;
    const weir_adapter_ops *found = NULL;
    weir_err err = object_open(name, path, &object, fault);
    if (err != WEIR_OK) {
        return err;
    }
    err = table_get(name, path, object, &found, fault);
    if (err != WEIR_OK) {
        (void)dlclose(object);
        return err;
    }
    *ops = found;
    return WEIR_OK;
}
