/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_API_H
#define VPCFLOWD_WATCH_API_H

#include "base/buf.h"
#include "watch/published.h"

/* What is below /api, as JSON; README.md beside this says what is in it. A route's make, each. */
unsigned api_summary(struct buf *body, const struct published *p);
unsigned api_series(struct buf *body, const struct published *p);
unsigned api_top_minute(struct buf *body, const struct published *p);
unsigned api_top_quarter(struct buf *body, const struct published *p);
unsigned api_top_start(struct buf *body, const struct published *p);

enum { API_TOP = 20 }; /* items of a list */

#endif
