/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_RECEIVE_READER_H
#define VPCFLOWD_RECEIVE_READER_H

#include "worker.h"

/*
 * --read: files, one after another, as the peers of a worker. Each is one stream of payloads. A
 * file that cannot be read or has a bad payload does not stop the others.
 */
struct reader;

/*
 * Starts reading with the worker's loop; on_done is called once all is converted, though perhaps
 * not written yet. The names are borrowed until reader_free. NULL without memory.
 */
struct reader *reader_new(struct worker *w, char **file, size_t files,
			  void (*on_done)(struct reader *r, void *data), void *data);
/* Stops where it stands. */
void reader_stop(struct reader *r);
/* Whether any file, payload or record could not be converted. */
bool reader_failed(const struct reader *r);
/* One line: how far it is, or with done what it did. */
void reader_log(const struct reader *r, bool done);
/* After the loop has closed the reader's handles. */
void reader_free(struct reader **r);

#endif
