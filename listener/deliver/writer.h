/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_WRITER_H
#define VPCFLOWD_DELIVER_WRITER_H

#include <stdbool.h>

#include "base/attributes.h"
#include "deliver/block.h"

/*
 * A file or standard output, and the one thread that may block on it. Blocks are written whole and
 * in order; each comes back through output_finished() (deliver/output.h), with its error if it
 * could not be written. After an error nothing more is written.
 */
struct writer;

/*
 * Opens path for appending, or takes standard output when path is NULL, and starts the thread.
 * wait_for_space: when the disk is full, wait and try again rather than fail. path is borrowed for
 * the writer's life. 0 or a negative errno.
 */
MUST_CHECK int writer_open(struct writer **w, const char *path, bool wait_for_space);
/* Takes the block over. Never blocks. */
void writer_submit(struct writer *w, struct block *block);
/*
 * Ends the thread and frees the writer. Waits for what was submitted; with abort, gives up on it
 * even when it is blocked in write(2), and those blocks come back with -ECANCELED.
 */
void writer_close(struct writer **w, bool abort);

#endif
