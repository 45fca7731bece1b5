/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_READER_H
#define VPCFLOWD_RECEIVE_READER_H

#include <stdatomic.h>

#include "worker.h"

/*
 * --read: files, one after another, as the peers of a worker. Each is one stream of payloads. A
 * file that cannot be read or has a bad payload does not stop the others. Several readers share a
 * list, of which each takes the next file when it is done with one.
 */
struct reader;

/* The files; the names are borrowed. */
struct reading {
	char **file;
	size_t files;
	atomic_size_t next; /* to be taken */
};

/*
 * Starts reading with the worker's loop; on_done is called once there is no file left and all is
 * converted, though perhaps not written yet. NULL without memory.
 */
struct reader *reader_new(struct worker *w, struct reading *reading,
			  void (*on_done)(struct reader *r, void *data), void *data);
/* Stops where it stands. */
void reader_stop(struct reader *r);
/* Whether any file, payload or record could not be converted. */
bool reader_failed(const struct reader *r);
/* Files that it read to their end. */
size_t reader_files(const struct reader *r);
/* After the loop has closed the reader's handles. */
void reader_free(struct reader **r);

#endif
