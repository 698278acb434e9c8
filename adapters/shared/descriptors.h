/* adapters/shared/descriptors.h - how many file descriptors all front ends may have together.
 *
 * A process has one table of descriptors, and the engine writes with some of them: so connections are
 * counted for the process, and beyond the bound they are closed before they take its part. */
#ifndef WEIR_ADAPTERS_SHARED_DESCRIPTORS_H
#define WEIR_ADAPTERS_SHARED_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

/* 0, the default: no bound. Counts for what is taken from then on. Any thread. */
void weir_descriptors_max_set(uint64_t count);
/* Counts them. False: that is beyond the bound, and they are to be closed. They are given back once
 * they are closed, whatever was answered. Any thread. */
bool weir_descriptors_take(uint64_t count);
void weir_descriptors_give(uint64_t count);

#endif
