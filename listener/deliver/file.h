/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_FILE_H
#define VPCFLOWD_DELIVER_FILE_H

#include <sys/types.h>

#include "base/attributes.h"
#include "base/slice.h"

/* Files that are appended to. All of it may block, and none of it allocates. */

/*
 * Opens or makes a file for appending. A descriptor or a negative errno. With wait a FIFO is opened
 * when it has a reader, or -EINTR is returned after a signal; without, that is -ENXIO at once.
 */
MUST_CHECK int file_open(const char *path, bool wait);
bool file_is_fifo(const char *path);
/* The size of a regular file; -ESPIPE for everything else, or another negative errno. */
off_t file_size(int fd);
/*
 * How many octets at the file's beginning are these, or a negative errno; all of them where it may not
 * be read.
 */
MUST_CHECK ssize_t file_begins_with(const char *path, struct slice octets);
/*
 * Makes a file of IPFIX Messages (RFC 5655) ready for another session: a message that is cut short,
 * or zeros, as a crash leaves them, are removed, since nothing after them could be decoded; that is logged. 0, or
 * -EINVAL when it is something else than IPFIX, or a negative errno.
 */
MUST_CHECK int file_mend_messages(const char *path, int fd);
/*
 * Whether a text file ends within a line, as a crash may leave it. With cut that line is removed, which
 * is logged, and it does not; but not where there is no line before it, nor when it is longer than any
 * of ours: that is the file of somebody else. 0 or a negative errno.
 */
MUST_CHECK int file_mend_lines(const char *path, int fd, bool cut, bool *torn);

#endif
