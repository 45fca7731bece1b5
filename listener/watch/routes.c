/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what is at which path. */
#include "watch/routes.h"

#include "watch/api.h"
#include "watch/health.h"
#include "watch/metrics.h"
#include "watch/page.h"

#define JSON "application/json"

const struct http_route watch_routes[] = {
	{ .path = "/metrics",
	  .type = "text/plain; version=0.0.4; charset=utf-8",
	  .make = metrics_make },
	{ .path = "/healthz",
	  .type = "text/plain; charset=utf-8",
	  .at_once = true,
	  .make = health_make },
	{ .path = "/",
	  .type = "text/html; charset=utf-8",
	  .policy = page_policy,
	  .make = page_make },
	{ .path = "/api/summary", .type = JSON, .at_once = true, .make = api_summary },
	{ .path = "/api/series", .type = JSON, .make = api_series },
	{ .path = "/api/top/minute", .type = JSON, .make = api_top_minute },
	{ .path = "/api/top/quarter", .type = JSON, .make = api_top_quarter },
	{ .path = "/api/top/start", .type = JSON, .make = api_top_start },
	{ .path = NULL },
};
