/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SPOOL_SEEN_FILE_H
#define VPCFLOWD_SPOOL_SEEN_FILE_H

#include "base/result.h"
#include "spool/seen.h"

/* What was seen, on disk: seen-<hour since 1970> has the payloads that were taken in that hour. */
struct seen_file {
	int dir; /* borrowed */
	int fd;	 /* of the hour, or -1 */
	int64_t hour;
	bool dirty; /* not synced */
	bool failed;
};

/*
 * Appends a payload's record. False when that is not possible, which is logged once: the payload may
 * be taken twice over a restart, and that is worth a line, not a refusal.
 */
MUST_CHECK bool seen_file_write(struct seen_file *f, const struct seen_payload *p);
void seen_file_sync(struct seen_file *f);
void seen_file_close(struct seen_file *f);

/* Adds what the files of the last hours have. */
void seen_file_load(const struct seen_file *f, struct seen *seen);
/* Whether that is the name of such a file, whose time is over. */
bool seen_file_is_old(const char *name);

#endif
