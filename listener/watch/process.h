/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_WATCH_PROCESS_H
#define VPCFLOWD_WATCH_PROCESS_H

#include <stdint.h>

/* What the process takes of the machine; 0 where the kernel does not say. */
struct process {
	uint64_t cpu_us;   /* of all threads, in user space and in the kernel */
	uint64_t resident; /* octets */
	uint64_t virtual;
	uint64_t open_fds;
	uint64_t max_fds;
	uint64_t threads;
};

/* As it is now. Reads /proc/self, so not from a loop. */
void process_look(struct process *p);

#endif
