/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_DELIVER_COLUMNS_H
#define VPCFLOWD_DELIVER_COLUMNS_H

#include "flow/format.h"

/*
 * The columns that an output names, agreed upon by all workers: they share its file, and a collector
 * that takes their sessions for one must find the same templates in each. Any thread's.
 */
struct columns;

/* With one holder. NULL without memory. */
struct columns *columns_new(void);
/* For one holder more. Returns c. */
struct columns *columns_share(struct columns *c);
/* Frees it when it was the last holder's. */
void columns_release(struct columns **c);

/* The columns of whoever asked first; they live as long as c. NULL without memory. */
const struct format *columns_agree(struct columns *c, const struct format *proposed);

#endif
