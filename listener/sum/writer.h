/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SUM_WRITER_H
#define VPCFLOWD_SUM_WRITER_H

#include "sum/sums.h"
#include "worker.h"

/*
 * Makes the report in turns of a worker and gives it to that worker's outputs, as a reader gives
 * flows. Calls on_done, from the loop, once they have all of it (0) or it cannot be made: -ENOMEM, or
 * -ENOBUFS for want of --aggregate-memory.
 */
struct sum_writer;

/* Begins. NULL without memory. */
struct sum_writer *sum_writer_new(struct worker *w, struct summing *summing,
				  void (*on_done)(void *data, int error), void *data);
/* Stops, too. */
void sum_writer_free(struct sum_writer **w);

#endif
