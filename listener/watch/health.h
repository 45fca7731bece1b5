/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_HEALTH_H
#define VPCFLOWD_WATCH_HEALTH_H

#include "base/buf.h"
#include "watch/published.h"

/*
 * /healthz, a route's make: 200 and "ok" while payloads can be taken and delivered, else 503 and a
 * line for each reason why not.
 */
unsigned health_make(struct buf *body, const struct published *p);

#endif
