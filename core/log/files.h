/* core/log/files.h - how many segment files may be open at once: descriptors that nobody uses are
 * closed, the longest unused first, and opened again at need.
 *
 * Thread-safe. A segment that joined no such cache keeps its files from the first use to its end. */
#ifndef WEIR_CORE_LOG_FILES_H
#define WEIR_CORE_LOG_FILES_H

#include "core/log/segment.h"

typedef struct weir_segment_files weir_segment_files;

/* `max`: descriptors. `volume`: what was written may be closed before it is synced, since whoever
 * counts on it syncs the whole volume (weir_segment_files_volume_begin); otherwise such files stay
 * open beyond `max`. */
weir_err weir_segment_files_create(uint32_t max, bool volume, weir_segment_files **files);
void weir_segment_files_destroy(
    weir_segment_files *files); /* NULL is harmless; no segment is left */
/* From now on the segment's files count. Before anybody else has it. */
void weir_segment_files_join(weir_segment_files *files, weir_segment *segment);
/* Whether a file was closed that was written to since the last volume sync began: then only the
 * volume's sync tells whether all of it reached the disk. */
bool weir_segment_files_need_volume(const weir_segment_files *files);
/* Something else was written or made that only a sync of the volume covers. */
void weir_segment_files_want_volume(weir_segment_files *files);
/* A sync of the whole volume begins now; when it fails, nothing of this counts. */
void weir_segment_files_volume_begin(weir_segment_files *files);
uint32_t weir_segment_files_open(const weir_segment_files *files); /* descriptors now */

#endif
