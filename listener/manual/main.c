/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vpcflowd-manual, which is run when the daemon is built: prints the manual page, or what a shell
 * completes the command line by. It is not installed.
 */
#include "manual/manual.h"

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "roff") == 0 && argc == 3)
		manual_roff(stdout, VPCFLOWD_VERSION, argv[2]);
	else if (strcmp(what, "bash") == 0 && argc == 2)
		manual_bash(stdout);
	else if (strcmp(what, "zsh") == 0 && argc == 2)
		manual_zsh(stdout);
	else {
		fputs("Usage: vpcflowd-manual roff DATE | bash | zsh\n", stderr);
		return 2;
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
