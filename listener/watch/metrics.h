/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_METRICS_H
#define VPCFLOWD_WATCH_METRICS_H

#include "base/buf.h"
#include "watch/published.h"

/*
 * /metrics, a route's make: everything that is counted, in Prometheus's text format, version 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats). README.md has the list.
 */
unsigned metrics_make(struct buf *body, const struct published *p);

#endif
