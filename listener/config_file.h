/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_CONFIG_FILE_H
#define VPCFLOWD_CONFIG_FILE_H

#include "config.h"

/*
 * Puts what a JSON file says into the configuration: options by their long names, and "sources".
 * False after the mistake was logged with the file and the key.
 */
MUST_CHECK bool config_file_load(struct config *c, const char *path);

#endif
