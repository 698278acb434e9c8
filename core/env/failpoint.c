/* core/env/failpoint.c - the one global table behind the named places: is anything armed, and whose.
 *
 * Happy path: nothing is armed, and no function of this file runs. A test arms one hook before it
 * opens an engine and disarms it afterwards; the store of the flag is the last of arming and the first
 * of disarming, so that whoever sees it set finds the hook.
 *
 * [FP1] The hook and its argument change only while no engine runs. */
#include "core/env/failpoint.h"

atomic_bool weir_failpoint_armed;

static weir_failpoint_hook armed_hook;
static void *armed_arg;

static const char *const NAMES[WEIR_FAILPOINT_COUNT] = {
#define FAILPOINT_NAME(name, where) #name,
    WEIR_FAILPOINT_LIST(FAILPOINT_NAME)
#undef FAILPOINT_NAME
};

static const char *const WHERE[WEIR_FAILPOINT_COUNT] = {
#define FAILPOINT_WHERE(name, where) where,
    WEIR_FAILPOINT_LIST(FAILPOINT_WHERE)
#undef FAILPOINT_WHERE
};

void weir_failpoint_arm(weir_failpoint_hook hook, void *arg)
{
    atomic_store(&weir_failpoint_armed, false);
    armed_hook = hook;
    armed_arg = arg;
    atomic_store(&weir_failpoint_armed, hook != NULL);
}

weir_err weir_failpoint_reached(weir_failpoint point)
{
    return armed_hook != NULL ? armed_hook(armed_arg, point) : WEIR_OK;
}

const char *weir_failpoint_name(weir_failpoint point)
{
    return NAMES[point];
}

const char *weir_failpoint_where(weir_failpoint point)
{
    return WHERE[point];
}
