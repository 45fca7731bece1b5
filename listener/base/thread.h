/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_THREAD_H
#define VPCFLOWD_BASE_THREAD_H

#include <signal.h>
#include <uv.h>

#include "base/attributes.h"

/*
 * Starts a thread that sees no signal but the one given, 0 for none: signals are the main loop's. The
 * name, of 15 octets at most, is what ps and top show. 0 or a negative errno.
 */
MUST_CHECK int thread_start(uv_thread_t *thread, const char *name, int signal,
			    void (*run)(void *arg), void *arg);

/* Threads that others begin between the two see no signal either. before: for the second. */
void thread_block_signals(sigset_t *before);
void thread_unblock_signals(const sigset_t *before);

#endif
