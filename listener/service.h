/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_SERVICE_H
#define VPCFLOWD_SERVICE_H

#include "config.h"

/*
 * Runs what the configuration says until it is done: the listener until SIGTERM, or --read until
 * the last file. Returns the exit status: 0, or 1 after what failed was logged. argc and argv are
 * read again at HUP.
 */
int service_run(const struct config *config, int argc, char **argv);

#endif
