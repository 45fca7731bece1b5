/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_TEXT_H
#define VPCFLOWD_WATCH_TEXT_H

#include "base/attributes.h"
#include "base/buf.h"

/*
 * Text that is put together in a buffer. Once something did not fit nothing more is added, so that
 * one look at the end is enough.
 */
struct text {
	struct buf *buf;
	bool failed; /* the buffer's maximum was reached, or there was no memory */
};

void text_add(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
