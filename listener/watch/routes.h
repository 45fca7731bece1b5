/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_ROUTES_H
#define VPCFLOWD_WATCH_ROUTES_H

#include "watch/http.h"

/* Everything that there is to be seen; the last has no path. */
extern const struct http_route watch_routes[];

#endif
