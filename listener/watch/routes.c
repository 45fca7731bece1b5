/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what is at which path. */
#include "watch/routes.h"

#include "watch/health.h"
#include "watch/metrics.h"

const struct http_route watch_routes[] = {
	{ .path = "/metrics",
	  .type = "text/plain; version=0.0.4; charset=utf-8",
	  .make = metrics_make },
	{ .path = "/healthz",
	  .type = "text/plain; charset=utf-8",
	  .at_once = true,
	  .make = health_make },
	{ .path = NULL },
};
