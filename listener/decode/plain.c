/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a document's plain events. They are found by plain_run.c, of which the fastest that
 * this machine can run is taken.
 */
#include "decode/plain.h"

#include "base/machine.h"

plain_runner plain_runner_of(enum machine machine)
{
	static const plain_runner runners[MACHINES] = {
		[MACHINE_ANY] = plain_run_anywhere,
#ifdef __x86_64__
		[MACHINE_AVX2] = plain_run_avx2,
		[MACHINE_AVX512] = plain_run_avx512,
#endif
	};
	return runners[machine];
}

void plain_init(struct plain *p)
{
	buf_init(&p->found, PLAIN_MOST);
	p->seen = 0;
	p->array = 0;
	p->end = 0;
	p->head.len = 0;
	p->run = plain_runner_of(machine_here());
}

void plain_deinit(struct plain *p)
{
	buf_deinit(&p->found);
	plain_init(p);
}

void plain_open(struct plain *p, size_t offset)
{
	if (p->found.len == 0)
		p->array = p->seen + offset;
}

void plain_close(struct plain *p, size_t offset)
{
	if (p->found.len > 0 && p->end == 0)
		p->end = p->seen + offset + 1;
}
