/* SPDX-License-Identifier: Apache-2.0 */
/* vpcflowd: AWS VPC Flow Logs in, flows out. Options in, exit status out; the rest is service.c. */
#include <stdio.h>

#include "base/memory.h"
#include "config.h"
#include "manual/manual.h"
#include "service.h"

int main(int argc, char **argv)
{
	struct config *config;
	int status = 0;
	memory_keep();
	if (!config_load(&config, argc, argv))
		return 2;
	log_set_level(config->log_level);
	switch (config->task) {
	case TASK_HELP:
		manual_help(stdout);
		break;
	case TASK_VERSION:
		puts("vpcflowd " VPCFLOWD_VERSION);
		break;
	case TASK_CHECK:
		config_describe(config, stdout);
		break;
	default:
		status = service_run(config, argc, argv);
	}
	config_release(config);
	return status;
}
