/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what is at which path. */
#include "watch/routes.h"

#include "watch/health.h"

const struct http_route watch_routes[] = {
	{ .path = "/healthz",
	  .type = "text/plain; charset=utf-8",
	  .at_once = true,
	  .make = health_make },
	{ .path = NULL },
};
