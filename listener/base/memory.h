/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_MEMORY_H
#define VPCFLOWD_BASE_MEMORY_H

/*
 * Each payload needs some large buffers for a moment. What is freed stays with the process for the
 * next one: given back, the kernel would have to clear and map every page of it anew.
 */

/* From here on. Before there are other threads. */
void memory_keep(void);
/* For a time without payloads: the kernel gets back what is free, of all threads. */
void memory_give_back(void);

#endif
