/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_PUBLISHER_H
#define VPCFLOWD_WATCH_PUBLISHER_H

#include "watch/published.h"

/*
 * --http as the main loop sees it: a server, and a board on which it puts what the workers answered.
 * Belongs to the main loop.
 */
struct publisher;

/*
 * Binds the configured address and answers from here on, with nothing counted yet. The watches are the
 * workers', borrowed. 0, or a negative errno after the reason was logged.
 */
MUST_CHECK int publisher_open(struct publisher **p, const struct config *config,
			      const struct watches *watches);
/* ADDR:PORT that it is bound to. */
const char *publisher_address(const struct publisher *p);
/* Puts up what all workers have counted until now. config: the one in force. */
void publisher_put(struct publisher *p, const struct counts *counts, const struct config *config,
		   enum published_stage stage);
/* After it nobody is answered. *p may be NULL. */
void publisher_close(struct publisher **p);

#endif
