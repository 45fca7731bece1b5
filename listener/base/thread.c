/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>

void thread_block_signals(sigset_t *before)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

void thread_unblock_signals(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

int thread_start(uv_thread_t *thread, const char *name, int signal, void (*run)(void *arg),
		 void *arg)
{
	sigset_t blocked;
	sigset_t before;
	sigfillset(&blocked);
	if (signal != 0)
		sigdelset(&blocked, signal);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	int error = uv_thread_create(thread, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		(void)pthread_setname_np(*thread, name);
	return error;
}
