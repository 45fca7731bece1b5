/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_FAKE_OUTPUT_H
#define VPCFLOWD_TESTS_UNIT_FAKE_OUTPUT_H

/* An output that takes and delivers as much as it is told to: linked in place of deliver/output.c. */

#include "deliver/output.h"

struct fake_output {
	uint64_t room; /* flows that it takes until it is full */
	uint64_t taken;
	uint64_t delivered;
	void (*on_flow)(const struct flow *flow);
	output_progress_cb on_progress;
	void *data;
};

extern struct fake_output fake_output;

/* It takes so many flows more; UINT64_MAX for no end. */
void fake_output_room(uint64_t flows);
/* It has delivered so many of those that it took and had not delivered yet. */
void fake_output_deliver(uint64_t flows);

#endif
