/* Fuzzes the configuration: YAML text through the loader, the checks, and every question that is
 * asked of it afterwards. Its planted bug must be found. */
#include "programs/config.h"

#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 16384 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_config config = {0};
    weir_engine_config engine;
    weir_fault fault = {0};
    if (size > INPUT_MAX) {
        return 0;
    }
    if (weir_config_init(&config) == WEIR_OK &&
        weir_config_load(&config, "fuzz.yaml", (weir_bytes){data, size}, &fault) == WEIR_OK) {
        (void)weir_config_check(&config, &fault);
        (void)weir_config_set(&config, "lines.port", "7000", &fault);
        (void)weir_config_setting(&config, "lines", "port");
        weir_config_engine(&config, &engine);
    }
    if (fault.err != WEIR_OK && fault.text[0] == '\0') {
        abort(); /* an error that says nothing */
    }
    weir_config_fini(&config);
    return 0;
}
