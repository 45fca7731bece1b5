/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_CONFIG_SUMS_H
#define VPCFLOWD_CONFIG_SUMS_H

#include "config.h"

/*
 * Checks what --aggregate, --top and --by ask for against the rest, once all options are read and the
 * outputs are known; with sums their columns are those of the outputs. False after the mistake was
 * logged.
 */
MUST_CHECK bool config_settle_sums(struct config *c);

#endif
