/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_SINK_H
#define VPCFLOWD_DELIVER_SINK_H

#include <stdatomic.h>

#include "base/buf.h"
#include "deliver/output.h"

/*
 * A file or standard output, as the writers of all workers share it: one descriptor, on which blocks
 * are written whole, one after another, whoever's they are. A header is kept, and written whenever the
 * file turns out to be empty: at the start, and after it was opened anew. After an error nothing more
 * is written.
 *
 * What writes may block. A writer that is aborted, and interrupted by a signal until it has noticed,
 * gives up what it writes and what it waits for.
 */
struct sink;

/*
 * Opens the destination of an output that is none of the network, with one holder. A file that has
 * content which does not fit is refused here already, but for text with a header: that is looked at
 * once the header is known. A FIFO that has no reader is opened by sink_wait. 0 or a negative errno.
 */
MUST_CHECK int sink_open(struct sink **s, const struct output_config *config);
/* Any thread's: false when sink_wait is due, which is the first that may be called of what blocks. */
bool sink_is_open(const struct sink *s);
/* For one holder more. Returns s. */
struct sink *sink_share(struct sink *s);
/* Closes it when it was the last holder's. */
void sink_close(struct sink **s);

/* Waits for a FIFO's reader. As sink_write; a writer that is aborted leaves the others waiting. */
MUST_CHECK int sink_wait(struct sink *s, const atomic_bool *abort);
/*
 * A last line that was cut short before is ended first. 0 or the negative errno that nothing more is
 * written for; -ECANCELED: aborted.
 */
MUST_CHECK int sink_write(struct sink *s, struct slice block, const atomic_bool *abort);
/* Takes the octets of the header, which everybody has the same of. */
MUST_CHECK int sink_header(struct sink *s, struct buf *header, const atomic_bool *abort);
/*
 * Opens a file anew, for the HUP of that number: the first who comes with it does. Where that cannot be
 * done the old one is written to, and that is logged.
 */
MUST_CHECK int sink_reopen(struct sink *s, unsigned hup, const atomic_bool *abort);

#endif
