/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_PAGE_H
#define VPCFLOWD_WATCH_PAGE_H

#include "base/buf.h"
#include "watch/published.h"

/* What the page may do: nothing but its own style and script, by their digests, and asking /api. */
extern const char page_policy[];

/* The page, a route's make. */
unsigned page_make(struct buf *body, const struct published *p);

#endif
