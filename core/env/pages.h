/* core/env/pages.h - memory in spans of one large page.
 *
 * Where thousands of small things are looked at in turn, a third of the time goes to finding out where
 * each page of 4 KiB is; of large pages the processor remembers enough. */
#ifndef WEIR_CORE_ENV_PAGES_H
#define WEIR_CORE_ENV_PAGES_H

enum { WEIR_SPAN_BYTES = 2 << 20 };

/* WEIR_SPAN_BYTES of zeros that begin at a multiple of it, the caller's until weir_span_give; a large
 * page where the system has one (transparent_hugepage: madvise or always). NULL: no memory. Any
 * thread. */
void *weir_span_take(void);
void weir_span_give(void *span);

#endif
